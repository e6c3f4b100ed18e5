import { render } from 'preact';
import { App } from '#page/view/app.js';
import { restoreTheme } from '#page/view/theme.js';

restoreTheme();
render(<App />, document.body);
