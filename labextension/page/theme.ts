/**
 * Light or dark, as the system says. Charts learn of it as they do in JupyterLab: by an attribute of the body.
 */

/** Follow the system from now on. */
export function followSystemTheme(): void {
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  const tell = (): void => {
    document.body.dataset.jpThemeLight = String(!dark.matches);
  };
  dark.addEventListener('change', tell);
  tell();
}
