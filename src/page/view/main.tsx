import { render } from 'preact';
import { App } from '#page/view/app.js';
import { applyTheme } from '#page/view/theme.js';

applyTheme();
render(<App />, document.body);
