/* Not a module: it runs before the first paint, so that a dark page never flashes white. */
(() => {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const choice = () => {
    try {
      return localStorage.getItem("loracraft-theme") || "system";
    } catch {
      return "system";
    }
  };
  const apply = () => {
    const chosen = choice();
    const theme = chosen === "system" ? (system.matches ? "dark" : "light") : chosen;
    document.documentElement.dataset.bsTheme = theme;
    document.documentElement.dataset.themeChoice = chosen;
    document.dispatchEvent(new CustomEvent("themechange", { detail: { theme } }));
  };
  window.loracraftTheme = {
    choice,
    choose(theme) {
      try {
        localStorage.setItem("loracraft-theme", theme);
      } catch {
        console.warn("The theme could not be remembered: this browser stores nothing for the page.");
      }
      apply();
    },
  };
  system.addEventListener("change", apply);
  apply();
})();
