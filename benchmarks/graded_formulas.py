"""Answers in the manner of MATH, right and wrong ones, for the comparison of formulas. Written for LoRA Craft."""

from __future__ import annotations

# A reference, answers that say the same, and answers that say something else.
GRADED: list[tuple[str, list[str], list[str]]] = [
    # Fractions, of numbers and of letters.
    (
        r"\frac{3}{4}",
        [r"\dfrac{3}{4}", "3/4", "0.75", r"\frac{6}{8}", r"\frac34", "75\\%"],
        [r"\frac{4}{3}", "0.7", r"\frac{3}{5}", "3.4"],
    ),
    (r"-\frac{1}{2}", [r"\frac{-1}{2}", "-0.5", "-1/2", r"-\frac{2}{4}"], [r"\frac{1}{2}", "-2", "0.5", "-1.2"]),
    (r"\frac{x}{2}", [r"\frac{1}{2}x", "x/2", "0.5x", r"\frac{2x}{4}"], [r"\frac{2}{x}", "x", "2x", r"\frac{x}{3}"]),
    (
        r"\frac{a+b}{2}",
        [r"\frac{a}{2}+\frac{b}{2}", "(a+b)/2", r"\frac{b+a}{2}", r"\frac{1}{2}(a+b)"],
        [r"\frac{a-b}{2}", r"a+\frac{b}{2}", r"\frac{a+b}{3}"],
    ),
    (r"\frac{1}{x+1}", [r"\frac{2}{2x+2}", "1/(x+1)", r"\frac{1}{1+x}"], [r"\frac{1}{x-1}", r"\frac{1}{x}+1", "x+1"]),
    # Surds and powers.
    (
        r"2\sqrt{3}",
        [r"\sqrt{12}", "2*sqrt(3)", r"\sqrt{3}\cdot 2", r"\frac{6}{\sqrt{3}}"],
        [r"3\sqrt{2}", r"\sqrt{6}", "12", r"2\sqrt{5}"],
    ),
    (
        r"\frac{\sqrt{2}}{2}",
        [r"\frac{1}{\sqrt{2}}", r"\sqrt{2}/2", "sqrt(2)/2", r"\sqrt{\frac{1}{2}}"],
        [r"\sqrt{2}", r"\frac{2}{\sqrt{3}}", r"\frac{1}{2}"],
    ),
    (
        r"1+\sqrt{5}",
        [r"\sqrt{5}+1", "1+sqrt(5)", r"\frac{2+2\sqrt{5}}{2}"],
        [r"1-\sqrt{5}", r"\sqrt{6}", r"5+\sqrt{1}", r"1+\sqrt{3}"],
    ),
    (r"\sqrt[3]{4}", [r"4^{1/3}", r"2^{2/3}", r"\sqrt[3]{4}"], [r"\sqrt{4}", r"\sqrt[4]{3}", "4/3"]),
    (r"5\sqrt{2}-3", [r"-3+5\sqrt{2}", r"\sqrt{50}-3"], [r"5\sqrt{2}+3", r"3-5\sqrt{2}", r"2\sqrt{5}-3"]),
    # Polynomials.
    ("x^2+2x+1", ["(x+1)^2", "1+2x+x^2", "(x+1)(x+1)", "x(x+2)+1"], ["(x-1)^2", "x^2+1", "x^2+2x", "2x^2+2x+1"]),
    ("(x-2)(x+3)", ["x^2+x-6", "(x+3)(x-2)", "x(x+1)-6"], ["x^2-x-6", "x^2+x+6", "(x+2)(x-3)"]),
    ("3x-7", ["-7+3x", "3(x-2)-1", "3 x - 7"], ["3x+7", "7-3x", "7x-3", "3x"]),
    ("x^3-8", ["(x-2)(x^2+2x+4)", "-8+x^3"], ["(x-2)^3", "x^3+8", "x^2-8"]),
    ("4a^2b", ["4ba^2", r"4 \cdot a^2 \cdot b", "(2a)^2b"], ["4ab^2", "2a^2b", "4a^2+b"]),
    ("n(n+1)/2", [r"\frac{n(n+1)}{2}", r"\frac{n^2+n}{2}"], [r"\frac{n(n-1)}{2}", "n(n+1)", r"\frac{n^2}{2}"]),
    # Intervals.
    ("(2,5)", ["(2, 5)", r"\left(2,5\right)"], ["(5,2)", "[2,5)", "(2,6)", "2"]),
    ("[0,1]", ["[0, 1]", r"\left[0,1\right]"], ["(0,1)", "[0,1)", "[0,2]", "[1,0]"]),
    (r"(-\infty,3)", [r"(-\infty, 3)", r"\left(-\infty,3\right)"], [r"(-\infty,3]", r"(3,\infty)", r"(-\infty,-3)"]),
    (
        r"[1,4)\cup(6,9]",
        [r"[1,4) \cup (6,9]", r"\left[1,4\right)\cup\left(6,9\right]"],
        [r"[1,4]\cup[6,9]", "[1,9]", "[1,4)"],
    ),
    # Sets.
    (r"\{1,2,3\}", [r"\{3,2,1\}", r"\{1, 2, 3\}", r"\left\{1,2,3\right\}"], [r"\{1,2\}", r"\{1,2,4\}", r"\{1,2,3,4\}"]),
    (r"\{-2,2\}", [r"\{2,-2\}", r"\{ -2, 2 \}"], [r"\{2\}", r"\{-2,3\}", r"\{0,2\}"]),
    # Tuples and points.
    ("(1,2)", ["(1, 2)", r"\left(1,2\right)", "(1.0, 2.0)"], ["(2,1)", "(1,2,3)", "(1,3)", "(-1,2)"]),
    (
        r"(\frac{1}{2},3)",
        ["(0.5,3)", r"\left(\frac{1}{2}, 3\right)", "(1/2, 3)"],
        [r"(3,\frac{1}{2})", "(2,3)", "(1,2,3)"],
    ),
    ("(3,-4,0)", ["(3, -4, 0)", r"\left(3,-4,0\right)"], ["(3,4,0)", "(-4,3,0)", "(3,-4)"]),
    (
        r"(2,\frac{\pi}{3})",
        [r"\left(2,\frac{\pi}{3}\right)", r"(2, \pi/3)"],
        [r"(2,\frac{\pi}{6})", r"(\frac{\pi}{3},2)", r"(3,\frac{\pi}{2})"],
    ),
    # Equations.
    ("y=2x+1", ["y = 2x + 1", "y=1+2x", "2x+1=y"], ["y=2x-1", "y=x+2", "x=2y+1"]),
    ("x=5", ["5", "x = 5", "5.0"], ["x=-5", "x=6", "4"]),
    ("x^2+y^2=25", ["y^2+x^2=25", "x^2 + y^2 = 25"], ["x^2+y^2=5", "x^2-y^2=25", "x+y=25"]),
    # Pi, functions, letters.
    (r"2\pi", [r"\pi\cdot 2", r"2 \pi", "2pi", r"\frac{4\pi}{2}"], [r"\pi", "6", r"2\pi^2", r"3\pi"]),
    (r"\frac{\pi}{6}", [r"\pi/6", r"\frac{2\pi}{12}", r"\frac{1}{6}\pi"], [r"\frac{\pi}{3}", "30", r"\frac{6}{\pi}"]),
    (r"9\pi-18", [r"9(\pi-2)", r"-18+9\pi"], [r"9\pi+18", r"18-9\pi", r"9\pi-9"]),
    (r"\sin x", [r"\sin(x)", "sin(x)", r"\cos(\frac{\pi}{2}-x)"], [r"\cos x", r"\sin(2x)", r"-\sin x"]),
    ("2^{10}", ["1024", "2^10", "4^5"], ["20", "2^9", "1000", "10^2"]),
    ("3+4i", ["4i+3", "3 + 4i"], ["3-4i", "4+3i", "7", "3+4"]),
    (r"\log 2", [r"\log(2)", "log(2)"], [r"\log 3", "2", r"2\log 2"]),
    # Percentages, units, money, degrees.
    (r"25\%", ["25%", "25", r"25 \%", "25 percent", "0.25"], ["2.5\\%", "26%", "52%", "0.025"]),
    (
        r"12\text{ cm}",
        ["12 cm", "12", r"12\,\text{cm}", r"12 \mathrm{cm}", "120 mm", "0.12 m"],
        ["12 m", "21 cm", "12 mm", "1.2 cm"],
    ),
    (r"36\text{ square units}", ["36", r"36 \text{ units}^2", "36 square units"], ["6", "63", "36.5"]),
    (
        r"\$12.50",
        ["12.50", "$12.5", r"\$12.50", "12.5 dollars", "1250 cents"],
        ["$12.05", "1250", "12.50 cents", "€12.50"],
    ),
    (r"45^\circ", ["45", "45°", r"45^{\circ}", "45 degrees"], ["54", r"135^\circ", "4.5"]),
    (r"60\text{ miles per hour}", ["60", "60 miles per hour", "60 mph"], ["6", "60 km", "66 miles per hour"]),
    # Several values, where the reference has several.
    ("2,3", ["2, 3", "3,2"], ["2", "2,4", "2,3,4"]),
    (r"\pm 3", [r"\pm3", "3,-3", "-3, 3"], ["3", "-3", r"\pm 2"]),
    # What is no formula at all.
    (r"\text{(C)}", [r"\text{(C)}", r"\text{( C )}"], [r"\text{(B)}"]),
    # A matrix.
    (
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
        [r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}"],
        [r"\begin{pmatrix}1&2\\3&5\end{pmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"],
    ),
]


def pairs() -> list[tuple[str, str, bool]]:
    """(reference, answer, whether it is right); any list of candidates and the empty answer are wrong, too."""
    found = []
    for reference, right, wrong in GRADED:
        found += [(reference, answer, True) for answer in (reference, *right)]
        found += [
            (reference, answer, False) for answer in (*wrong, "", f"{reference} or {wrong[0]}", f"not {reference}")
        ]
    return found
