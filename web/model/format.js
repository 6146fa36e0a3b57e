/** Numbers, durations and times as text. */

import { plainName } from './ansi.js';

const grouped = new Intl.NumberFormat('en');

/** `1,204` @param {number} n */
export function count(n) {
  return grouped.format(n);
}

/** `1 line`, `1,204 lines` @param {number} n @param {string} noun */
export function plural(n, noun) {
  return `${count(n)} ${noun}${n === 1 ? '' : 's'}`;
}

/** `0:07`, `12:34`, `1:02:03` @param {number} ms */
export function clockDuration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const s = String(seconds % 60).padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${s}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, '0')}:${s}`;
}

/** `840 ms`, `7.2 s`, `1 min 15 s`, `2 h 3 min` @param {number} ms */
export function duration(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min${seconds % 60 ? ` ${seconds % 60} s` : ''}`;
  return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ''}`;
}

/** How long ago: `just now`, `42 s ago`, `5 min ago`, `3 h ago`, `2 d ago` @param {number} ms */
export function age(ms) {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 5) return 'just now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

/** @param {number} n */
const two = (n) => String(n).padStart(2, '0');

/** The reader's own time of day, or that of UTC. @param {string | Date} timestamp @param {boolean} [utc] */
export function timeOfDay(timestamp, utc = false) {
  const t = new Date(timestamp);
  if (Number.isNaN(t.getTime())) return '--:--:--';
  const parts = utc ? [t.getUTCHours(), t.getUTCMinutes(), t.getUTCSeconds()] : [t.getHours(), t.getMinutes(), t.getSeconds()];
  return parts.map(two).join(':');
}

/** `2025-12-14`; empty where there is no time. @param {string} timestamp @param {boolean} utc */
export function dayOf(timestamp, utc) {
  const t = new Date(timestamp);
  if (Number.isNaN(t.getTime())) return '';
  return utc ? t.toISOString().slice(0, 10) : `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())}`;
}

/** The reader's distance from UTC at a time: `UTC+1`, `UTC-3:30`. @param {string | Date} timestamp */
export function zoneText(timestamp) {
  const minutes = -new Date(timestamp).getTimezoneOffset();
  if (Number.isNaN(minutes) || minutes === 0) return 'UTC';
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `UTC${minutes < 0 ? '-' : '+'}${hours}${rest ? `:${two(rest)}` : ''}`;
}

/** `2025-12-14 10:30:00.123 UTC` @param {string | null | undefined} timestamp */
export function exactUtc(timestamp) {
  const t = new Date(timestamp ?? NaN);
  return Number.isNaN(t.getTime()) ? '' : `${t.toISOString().replace('T', ' ').replace('Z', '')} UTC`;
}

/**
 * A time with all that is known of it, as a tooltip has it: the reader's own with its zone, and that of UTC. Empty where
 * there is none: `2025-12-14 16:00:00 UTC+5:30 (2025-12-14 10:30:00.123 UTC)`
 * @param {string | null | undefined} timestamp
 */
export function exactTime(timestamp) {
  const utc = exactUtc(timestamp);
  const zone = zoneText(timestamp ?? '');
  return utc === '' || zone === 'UTC' ? utc : `${dateTime(timestamp ?? '')} ${zone} (${utc})`;
}

/** `2025-12-14 10:30:00`, the reader's own time. @param {string} timestamp */
export function dateTime(timestamp) {
  const t = new Date(timestamp);
  if (Number.isNaN(t.getTime())) return timestamp;
  return `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${timeOfDay(timestamp)}`;
}

/** A time to come, the reader's own: `10:30` today, else `2025-12-14 10:30`. @param {string} timestamp @param {number} now */
export function untilText(timestamp, now) {
  const text = dateTime(timestamp).slice(0, 16);
  return dayOf(timestamp, false) === dayOf(new Date(now).toISOString(), false) ? text.slice(11) : text;
}

/** Since the run began: `+1:23.4` @param {string} timestamp @param {string} started */
export function sinceStart(timestamp, started) {
  const ms = Math.max(0, Date.parse(timestamp) - Date.parse(started));
  return Number.isNaN(ms) ? '' : `+${clockDuration(ms)}.${Math.floor((ms % 1000) / 100)}`;
}

/** The first characters of a revision; what is no hash stays whole. @param {string} revision */
export function shortRevision(revision) {
  return plainName(revision).replace(/^([0-9a-f]{8})[0-9a-f]{4,}/, '$1');
}
