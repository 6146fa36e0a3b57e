//! How busy the host is, from /proc.

use crate::protocol::Metrics;
use std::fs;

/// Measures; use of the processors is that since the measurement before.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    before: Option<CpuTime>,
}

/// Ticks of all processors since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CpuTime {
    busy: u64,
    total: u64,
}

impl Sampler {
    /// The values as they are now.
    pub(super) fn sample(&mut self) -> Metrics {
        let now = read("stat").as_deref().and_then(cpu_time);
        let cpu = self
            .before
            .zip(now)
            .and_then(|(before, now)| used(before, now));
        self.before = now;
        let (ram, swap) = read("meminfo").as_deref().map_or((None, None), memory);
        let load = read("loadavg").and_then(|text| text.split(' ').next()?.parse().ok());
        Metrics {
            cpu,
            ram,
            swap,
            load,
        }
    }
}

fn read(name: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{name}")).ok()
}

/// From the first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal, …
fn cpu_time(stat: &str) -> Option<CpuTime> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    // The two last, guest times, are part of the first two.
    let ticks: Vec<u64> = line
        .split_whitespace()
        .take(8)
        .map_while(|n| n.parse().ok())
        .collect();
    let idle = ticks.get(3)? + ticks.get(4)?;
    let total = ticks.iter().sum::<u64>();
    Some(CpuTime {
        busy: total.saturating_sub(idle),
        total,
    })
}

fn used(before: CpuTime, now: CpuTime) -> Option<f64> {
    let total = now
        .total
        .checked_sub(before.total)
        .filter(|ticks| *ticks > 0)?;
    percent(now.busy.saturating_sub(before.busy), total)
}

/// Use of memory and swap, from `/proc/meminfo`.
fn memory(meminfo: &str) -> (Option<f64>, Option<f64>) {
    let kib = |key: &str| {
        let of_key = |line: &str| {
            line.strip_prefix(key)?
                .strip_prefix(':')?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        };
        meminfo.lines().find_map(of_key)
    };
    let share =
        |total: Option<u64>, free: Option<u64>| percent(total?.saturating_sub(free?), total?);
    let swap_total = kib("SwapTotal");
    let swap = if swap_total == Some(0) {
        Some(0.0)
    } else {
        share(swap_total, kib("SwapFree"))
    };
    (share(kib("MemTotal"), kib("MemAvailable")), swap)
}

/// With one decimal, 0 to 100.
fn percent(part: u64, whole: u64) -> Option<f64> {
    let tenths = part.checked_mul(1000)?.checked_div(whole)?.min(1000);
    Some(f64::from(u32::try_from(tenths).ok()?) / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_measured_between_two_samples() {
        let before = cpu_time("cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 2 3").unwrap();
        let now = cpu_time("cpu  150 0 150 750 150 0 0 0 99 0\n").unwrap();
        assert_eq!(used(before, now), Some(50.0));
        assert_eq!(used(now, now), None);
        assert_eq!(cpu_time("nonsense"), None);
    }

    #[test]
    fn memory_in_use_is_what_is_not_available() {
        let text = "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n";
        assert_eq!(memory(text), (Some(75.0), Some(0.0)));
        assert_eq!(
            memory("SwapTotal: 10 kB\nSwapFree: 5 kB\n"),
            (None, Some(50.0))
        );
    }

    #[test]
    fn this_machine_has_memory_and_a_load() {
        let mut sampler = Sampler::default();
        assert_eq!(sampler.sample().cpu, None);
        let metrics = sampler.sample();
        assert!(metrics.ram.is_some_and(|ram| (0.0..=100.0).contains(&ram)));
        assert!(metrics.load.is_some());
    }
}
