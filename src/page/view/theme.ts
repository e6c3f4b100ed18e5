/** Dark or light: as the system says, until the reader chooses. The theme in use is `data-theme` of the page. */

const key = 'sublet-theme';

/** Sets the theme in use; to be called at the start and when the system's scheme changes. */
export function applyTheme(): void {
  const chosen = localStorage.getItem(key);
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  document.documentElement.dataset.theme = chosen === 'dark' || chosen === 'light' ? chosen : system;
}

export function toggleTheme(): void {
  const { dataset } = document.documentElement;
  dataset.theme = dataset.theme === 'dark' ? 'light' : 'dark';
  localStorage.setItem(key, dataset.theme);
}

/** The value of a colour of the style sheet, `#rrggbb`. */
export function cssColour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
