/**
 * The shapes of the wire that the page reads. A field may be absent where an older agent did not say it.
 *
 * @typedef {{line: string, timestamp: string, is_error: boolean | null}} Line
 * @typedef {{phase: string, seq: number, started: string}} PhaseMark
 * @typedef {{current: number, total: number, passed: number, running: boolean, result: string | null}} Tests
 * @typedef {'queued'|'running'|'ok'|'error'|'stopped'|'lost'|'expired'|'rejected'|'rolled_back'} Status
 *
 * Why a run failed; `from`, `to` and `line` are numbers of its lines.
 * @typedef {{kind: string, name?: string | null, summary: string, from?: number | null, to?: number | null, line?: number | null}} Cause
 *
 * @typedef {object} Run
 * @property {string} run_id
 * @property {string} host_id
 * @property {string} command
 * @property {Status} status
 * @property {number} [number] orders the runs, whatever the clocks say; 0 of old ones
 * @property {string | null} [requested_by]
 * @property {string | null} [queued]
 * @property {string | null} [expires] when it is given up if it has not begun
 * @property {string | null} [stop_requested] when its end was asked for, while it goes on
 * @property {string | null} [started]
 * @property {string | null} [completed]
 * @property {number | null} [duration_ms]
 * @property {number | null} [exit_code]
 * @property {string | null} [message]
 * @property {Cause[] | null} [cause] the most important first
 * @property {string | null} [then] the command that is started where this one succeeds
 * @property {string | null} [after] the run before it, of which it is the `then`
 * @property {number | null} [lines]
 * @property {number | null} [errors] lines on standard error
 * @property {string | null} [phase]
 * @property {PhaseMark[] | null} [phases]
 * @property {number | null} [done]
 * @property {number | null} [expected]
 * @property {number | null} [running]
 * @property {number | null} [failed]
 * @property {Tests | null} [tests]
 * @property {number | null} [generation_before]
 * @property {number | null} [generation_after]
 * @property {string | null} [revision] of the configuration, after it
 * @property {boolean | null} [index_rebuilt]
 *
 * The last run that activated a system or made it the boot default.
 * @typedef {{run_id: string, command: string, status: Status, completed?: string | null, generation?: number | null, revision?: string | null, system?: string | null}} Deployment
 *
 * @typedef {{cpu: number | null, ram: number | null, swap: number | null, load: number | null}} Metrics
 *
 * @typedef {object} Host
 * @property {string} id
 * @property {boolean} online
 * @property {string | null} [last_seen]
 * @property {number | null} [clock_skew_ms] the host's clock minus the dashboard's
 * @property {string | null} [hostname]
 * @property {string | null} [agent_version]
 * @property {string | null} [os_version]
 * @property {string | null} [nixpkgs_version]
 * @property {string | null} [kernel]
 * @property {number | null} [generation]
 * @property {string | null} [system]
 * @property {string | null} [revision]
 * @property {number | null} [behind] how many commits of the clone the system lacks
 * @property {boolean | null} [reboot_required]
 * @property {string[] | null} [commands]
 * @property {string | null} [pending_command]
 * @property {Metrics | null} [metrics]
 * @property {Deployment | null} [deployment] absent where the dashboard does not say
 * @property {Run | null} [run]
 * @property {Conflict | null} [conflict] where two living machines have its token
 * @property {string | null} [running] the system that runs, by its store path
 * @property {string | null} [booted]
 * @property {string | null} [profile]
 * @property {string | null} [boot_default] what the boot loader starts
 * @property {number | null} [running_generation]
 * @property {string[] | null} [reboot_reasons]
 *
 * @typedef {{machine_id?: string | null, boot_id: string, installation_id?: string | null, hostname?: string | null, address?: string | null, agent_version?: string | null, last_seen: string, connected: boolean}} Machine
 * @typedef {{since: string, machines: Machine[]}} Conflict
 */
export {};
