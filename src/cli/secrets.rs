//! Makes tokens and hashes of passwords. Secrets go to standard output, what belongs into a file beside them.

use super::Failure;
use anyhow::{Context, anyhow};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use switchyard::dashboard::auth::{
    Role, SecretHash, hash_password, is_user_name, new_token, new_totp_secret,
};
use switchyard::protocol::HostId;

/// No password is longer, in bytes.
const LONGEST_PASSWORD: u64 = 4096;

/// `switchyard token HOST…`
pub(super) fn agent_tokens(hosts: &[HostId]) -> Result<(), Failure> {
    for host in hosts {
        let token = new_token().context("the system gave no random bytes")?;
        writeln!(io::stdout(), "{host} {token}")?;
        writeln!(io::stderr(), "{host} {}", SecretHash::of(&token))?;
    }
    Ok(())
}

fn user_name(name: &str) -> Result<(), Failure> {
    if is_user_name(name) {
        return Ok(());
    }
    Err(Failure::Usage(anyhow!(
        "{name:?} is not a valid user name: use letters, digits, '.', '_', '@' and '-', at most 63 characters"
    )))
}

/// `switchyard totp NAME`
pub(super) fn totp(name: &str) -> Result<(), Failure> {
    user_name(name)?;
    let secret = new_totp_secret().context("the system gave no random bytes")?;
    writeln!(
        io::stdout(),
        "otpauth://totp/Switchyard:{name}?secret={secret}&issuer=Switchyard"
    )?;
    writeln!(
        io::stderr(),
        "add after the hash of {name} in the users file: totp={secret}"
    )?;
    Ok(())
}

/// `switchyard token --user NAME ROLE`
pub(super) fn api_token(name: &str, role: &str) -> Result<(), Failure> {
    user_name(name)?;
    let role: Role = role
        .parse()
        .map_err(|error: String| Failure::Usage(anyhow!(error)))?;
    let token = new_token().context("the system gave no random bytes")?;
    writeln!(io::stdout(), "{name} {token}")?;
    writeln!(
        io::stderr(),
        "{name} {role} sha256:{}",
        SecretHash::of(&token)
    )?;
    Ok(())
}

/// `switchyard passwd`
pub(super) fn passwd() -> Result<(), Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        write!(io::stderr(), "password (visible as you type): ")?;
    }
    let mut line = Vec::new();
    // One byte more than may be, for the newline.
    let mut limited = stdin.lock().take(LONGEST_PASSWORD + 1);
    limited
        .read_until(b'\n', &mut line)
        .context("cannot read the password from standard input")?;
    let password = line.strip_suffix(b"\n").unwrap_or(&line);
    let password = password.strip_suffix(b"\r").unwrap_or(password);
    if password.len() as u64 > LONGEST_PASSWORD {
        return Err(Failure::Usage(anyhow!(
            "the password is longer than {LONGEST_PASSWORD} bytes"
        )));
    }
    let password = std::str::from_utf8(password)
        .map_err(|_| Failure::Usage(anyhow!("the password is not UTF-8")))?;
    let hash = hash_password(password).map_err(|error| Failure::Usage(error.into()))?;
    writeln!(io::stdout(), "{hash}")?;
    Ok(())
}
