from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.files.storage import FileSystemStorage


class StaticStorage(ManifestStaticFilesStorage):
    """Hashed names, also inside `import` statements of ES modules; plain names while developing."""

    support_js_module_import_aggregation = True
    manifest_strict = False
    # The packages' source maps are not served, and collectstatic refuses a file that names one it can't find.
    patterns = tuple(
        (extension, tuple(rule for rule in rules if "sourceMappingURL" not in str(rule)))
        for extension, rules in ManifestStaticFilesStorage.patterns
    )

    def stored_name(self, name: str) -> str:
        return name if settings.DEBUG else super().stored_name(name)


class VendorFinder(BaseFinder):
    """The few files of npm packages that pages use, under names of ours (settings.VENDOR_FILES)."""

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        file = settings.VENDOR_FILES.get(path)
        found = [str(file)] if file and file.is_file() else []
        return found if find_all else (found[0] if found else None)

    def list(self, ignore_patterns: Any) -> Iterator[tuple[str, "OneFileStorage"]]:
        for name, file in settings.VENDOR_FILES.items():
            if file.is_file():
                yield name, OneFileStorage(location=file.parent, file_name=file.name)


class OneFileStorage(FileSystemStorage):
    prefix = ""

    def __init__(self, *, file_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file_name = file_name

    def path(self, name: str) -> str:
        return super().path(self.file_name)
