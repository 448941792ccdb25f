/**
 * The icon of the panel.
 */

import { LabIcon } from '@jupyterlab/ui-components';

/** A box with a curve that falls. */
export const panelIcon = new LabIcon({
  name: 'modelbox:panel',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3 jp-icon-selectable" fill="#616161">
    <path d="M4 3h16a1.5 1.5 0 0 1 1.5 1.5v15A1.5 1.5 0 0 1 20 21H4a1.5 1.5 0 0 1-1.5-1.5v-15A1.5 1.5 0 0 1 4 3zm.5 2v14h15V5z"/>
    <path d="M6.2 7.2c1 5.2 3.2 8 11.6 8.4l-.1 1.8C8.400 17 5.600 13.500 4.400 7.600z"/>
    <circle cx="16.500" cy="9" r="1.800"/>
  </g>
</svg>`
});
