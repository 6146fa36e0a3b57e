//! The command line. Exit codes: 0 fine, 1 failed at run time, 2 wrong usage or configuration.

mod control;
mod secrets;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::future::Future;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use switchyard::config_file::ConfigError;
use switchyard::lifecycle::{self, Shutdown};
use switchyard::protocol::HostId;
use switchyard::{agent, clone, dashboard, demo, logging, supervisor};
use tokio::runtime::Builder;

/// Deploys a fleet of NixOS hosts from a web page and shows every line of nixos-rebuild as it happens.
#[derive(Parser)]
#[command(
    version = env!("SWITCHYARD_VERSION"),
    about,
    arg_required_else_help = true,
    propagate_version = true
)]
struct Cli {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Run the dashboard: serve the page and the API, and store what the agents send
    Dashboard {
        /// Configuration file; without one it listens on loopback and every visitor is an admin
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Address to listen on; overrides the configuration
        #[arg(long, value_name = "ADDR:PORT")]
        listen: Option<SocketAddr>,
        /// Folder for logs and database; overrides the configuration
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Run the agent of a host: take commands from the dashboard and send it every line of their output
    Agent {
        /// Configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration file, without opening the files that it names
    CheckConfig {
        /// Which service it configures
        service: Service,
        /// Configuration file
        file: PathBuf,
    },
    /// Create tokens for hosts, or an API token for a user; the lines for the dashboard's files go to standard error
    Token {
        /// Host names
        #[arg(required_unless_present = "user", conflicts_with = "user")]
        hosts: Vec<HostId>,
        /// User name and role: viewer, operator or admin
        #[arg(long, num_args = 2, value_names = ["NAME", "ROLE"])]
        user: Option<Vec<String>>,
    },
    /// Read a password from standard input and print its hash, for the users file
    Passwd,
    /// Create a secret for one-time codes; the address for an authenticator app goes to standard output, the entry for
    /// the users file to standard error
    Totp {
        /// User name
        name: String,
    },
    /// Administer the dashboard that runs on this machine, as its user or root
    Admin {
        /// The dashboard's data folder
        #[arg(long, value_name = "DIR", default_value = "/var/lib/switchyard")]
        data_dir: PathBuf,
        #[command(subcommand)]
        wish: control::Wish,
    },
    /// Run a demo fleet on this machine, without any set-up
    Demo {
        /// Number of hosts
        #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=100))]
        hosts: u8,
        /// Loopback address to listen on
        #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8000", value_parser = loopback)]
        listen: SocketAddr,
    },
    /// Internal: what the demo's hosts have in place of nixos-rebuild
    #[command(hide = true)]
    DemoRebuild {
        /// What to do
        action: String,
        /// For which host
        #[arg(long)]
        host: String,
        /// A folder of the host's own
        #[arg(long)]
        state: PathBuf,
        /// A nix expression to build for real
        #[arg(long)]
        system: Option<PathBuf>,
    },
    /// Internal: start one program of a run, wait for it, and write down how it ended
    #[command(hide = true)]
    Wait {
        /// The folder of the run
        rundir: PathBuf,
        /// Which launch of the run it is
        launch: u32,
        /// The program and its arguments
        #[arg(last = true, required = true)]
        argv: Vec<OsString>,
    },
    /// Internal: bring the clone of the repository to its branch, as the folder of a run says
    #[command(hide = true)]
    Pull {
        /// The folder of the run
        rundir: PathBuf,
    },
    /// Internal: run what the folder of a run says
    #[command(hide = true)]
    Supervise {
        /// The folder of the run
        rundir: PathBuf,
        /// Only end the run, whose supervisor is gone
        #[arg(long)]
        settle: bool,
        /// Only write down how systemd says that the service ended
        #[arg(long, conflicts_with = "settle")]
        note_end: bool,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Service {
    Dashboard,
    Agent,
}

/// Why the program ends with another code than 0.
enum Failure {
    /// At run time: 1.
    Run(anyhow::Error),
    /// Of usage or configuration: 2.
    Usage(anyhow::Error),
    /// Of a program that has said why.
    Code(u8),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Run(error.into())
    }
}

fn usage(error: ConfigError) -> Failure {
    Failure::Usage(error.into())
}

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    let (code, error) = match run(Cli::parse().mode) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Run(error)) => (1, error),
        Err(Failure::Usage(error)) => (2, error),
        Err(Failure::Code(code)) => return ExitCode::from(code),
    };
    // Where standard error is gone there is nobody left to tell.
    let _ = writeln!(io::stderr(), "switchyard: {}", one_line_each(&told(&error)));
    ExitCode::from(code)
}

/// The text without anything that a terminal would act on but the ends of its lines.
fn one_line_each(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(logging::escaped).collect();
    lines.join("\n")
}

/// The error with its causes, each told once: many a message has its cause in it.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn run(mode: Mode) -> Result<(), Failure> {
    match mode {
        Mode::Dashboard {
            config,
            listen,
            data_dir,
        } => {
            // Whatever the dashboard makes is for its owner alone, wherever that is.
            let others = nix::sys::stat::Mode::S_IRWXG | nix::sys::stat::Mode::S_IRWXO;
            nix::sys::stat::umask(others);
            let overrides = dashboard::config::Overrides { listen, data_dir };
            let config =
                dashboard::config::Config::load(config.as_deref(), overrides).map_err(usage)?;
            let listener = TcpListener::bind(config.listen).map_err(|error| {
                let address = config.listen;
                anyhow::anyhow!("cannot listen on {address}: {error}; set another with --listen ADDR:PORT or `listen` in the configuration")
            })?;
            serve(&mut Builder::new_multi_thread(), |shutdown| {
                dashboard::run(listener, config, shutdown)
            })
        }
        Mode::Agent { config } => {
            let config = agent::config::Config::load(&config).map_err(usage)?;
            serve(&mut Builder::new_current_thread(), |shutdown| {
                agent::run(config, shutdown)
            })
        }
        Mode::CheckConfig { service, file } => check_config(service, &file),
        Mode::Token { hosts, user } => match user.as_deref() {
            Some([name, role]) => secrets::api_token(name, role),
            _ => secrets::agent_tokens(&hosts),
        },
        Mode::Passwd => secrets::passwd(),
        Mode::Totp { name } => secrets::totp(&name),
        Mode::Admin { data_dir, wish } => control::ask(&data_dir, &wish),
        Mode::Demo { hosts, listen } => {
            let hosts = hosts.into();
            serve(&mut Builder::new_multi_thread(), |shutdown| {
                demo::run(demo::Options { hosts, listen }, shutdown)
            })
        }
        Mode::DemoRebuild {
            action,
            host,
            state,
            system,
        } => match demo::stand_in::rebuild(&demo::stand_in::Request {
            action,
            host,
            state,
            system,
        })? {
            0 => Ok(()),
            code => Err(Failure::Code(code)),
        },
        Mode::Wait {
            rundir,
            launch,
            argv,
        } => match supervisor::wait(&rundir, launch, &argv) {
            0 => Ok(()),
            code => Err(Failure::Code(code)),
        },
        Mode::Pull { rundir } => match clone::pull(&rundir) {
            0 => Ok(()),
            code => Err(Failure::Code(code)),
        },
        Mode::Supervise {
            rundir,
            settle,
            note_end,
        } => {
            logging::init();
            if note_end {
                supervisor::note_end(&rundir);
                return Ok(());
            }
            if settle {
                return Ok(supervisor::settle(&rundir)?);
            }
            Ok(supervisor::run(&rundir)?)
        }
    }
}

/// Runs a service until it ends by itself or by a signal.
fn serve<F, E>(runtime: &mut Builder, service: impl FnOnce(Shutdown) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    logging::init();
    let runtime = runtime
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals().context("cannot wait for signals")?;
        lifecycle::watched(service(shutdown))
            .await
            .map_err(|error| {
                let error = anyhow::Error::from(error);
                let is_of_configuration = |cause: &(dyn std::error::Error + 'static)| {
                    let agent = cause.downcast_ref::<agent::Error>();
                    cause.is::<ConfigError>()
                        || agent.is_some_and(agent::Error::is_of_configuration)
                };
                if error.chain().any(is_of_configuration) {
                    Failure::Usage(error)
                } else {
                    Failure::Run(error)
                }
            })
    })
}

fn check_config(service: Service, file: &Path) -> Result<(), Failure> {
    match service {
        Service::Dashboard => {
            dashboard::config::Config::load(Some(file), dashboard::config::Overrides::default())
                .map(drop)
        }
        Service::Agent => agent::config::Config::load(file).map(drop),
    }
    .map_err(usage)
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "write an IP address and a port, such as 127.0.0.1:8000".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("the demo listens on this machine only: use 127.0.0.1 or [::1]".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn the_demo_opens_nothing_to_the_network() {
        assert!(loopback("127.0.0.1:0").is_ok() && loopback("[::1]:8000").is_ok());
        assert!(loopback("0.0.0.0:8000").is_err() && loopback("localhost").is_err());
    }
}
