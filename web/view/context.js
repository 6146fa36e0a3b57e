/**
 * What every view is given: the one fleet, the one socket, and the ways to act and to speak.
 *
 * @typedef {object} Context
 * @property {import('../model/fleet.js').Fleet} fleet
 * @property {import('../model/clock.js').Clock} clock
 * @property {import('../net/socket.js').Socket} socket
 * @property {import('../net/api.js').Api} api
 * @property {import('./actions.js').Actions} actions
 * @property {import('./toasts.js').Toasts} toasts
 * @property {(path: string) => void} go shows another place
 */
export {};
