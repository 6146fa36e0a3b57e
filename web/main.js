/** Starts the page. */

import { App } from './view/app.js';

document.body.append(new App());
