from rewards.library.cases import case, full, part, preset

CATEGORY = "Data & analysis"
SALES = (
    "Sales were 120 units in the first quarter and 150 units in the second. By how many percent did they grow,"
    " and what does that mean?"
)
GREW = (
    "Sales went from 120 to 150 units, which is 30 more. 30 of 120 is a quarter, so they grew by 25%. If the third"
    " quarter grows as fast, about 188 units will be sold."
)
CHART = "RSI 24, price at the lower Bollinger band, MACD turning up. Which signal: STRONG_BUY, WEAK_BUY, HOLD or SELL?"
OVERSOLD = "The market is oversold, and momentum turns up at support."

PRESETS = [
    preset(
        "data-analysis",
        "Data analysis",
        CATEGORY,
        "The key figure must be right (within 1 %), and the analysis before it must give the figures it rests on.",
        [
            part("figure", "math_answer", 2.0, tolerance=0.01, relative=True),
            part("format", "markers", 0.5),
            part("evidence", "regex", 0.25, pattern=r"\d.*\D\d.*\D\d", place="reasoning"),
            part("insight", "length", 0.25, unit="words", place="reasoning", shortest=20, longest=300, fade=20),
        ],
        [
            case(
                SALES,
                "25%",
                (1, "right", full(GREW, "25%")),
                (2, "right, without figures", full("They grew a lot.", "25%")),
                (3, "wrong", full(GREW, "30%")),
                (3, "list of all answers", full(GREW, "20%, 25%, 30%")),
                (4, "echo of the question", SALES),
                (4, "empty", ""),
            )
        ],
    ),
    preset(
        "technical-analysis-signal",
        "Technical analysis signal",
        CATEGORY,
        "The direction of the reference (buy, sell or hold, weak or strong), named once; the right direction with"
        " another strength earns most of it.",
        [
            part("signal", "signal_accuracy", 1.0, same_direction=0.7),
            part("length", "length", 0.05, unit="words", shortest=3, longest=300, fade=50),
        ],
        [
            case(
                CHART,
                "STRONG_BUY",
                (1, "right", f"{OVERSOLD} <signal>STRONG_BUY</signal>"),
                (2, "the same direction", f"{OVERSOLD} <signal>WEAK_BUY</signal>"),
                (3, "wrong", f"{OVERSOLD} <signal>STRONG_SELL</signal>"),
                (3, "list of all answers", "STRONG_BUY, WEAK_BUY, HOLD, WEAK_SELL or STRONG_SELL"),
                (3, "denied", "I would not buy here."),
                (3, "echo of the question", CHART),
                (4, "empty", ""),
            )
        ],
    ),
]
