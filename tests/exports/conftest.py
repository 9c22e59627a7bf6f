from tests.exports.fixtures import *  # noqa: F403
