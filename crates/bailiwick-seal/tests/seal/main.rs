//! The promises of `bailiwick-seal`, through its public interface. Randomness is seeded; nothing here waits.

#[cfg(test)]
mod credentials;
#[cfg(test)]
mod envelope;
#[cfg(test)]
mod installation;
#[cfg(test)]
mod keyring;
#[cfg(test)]
mod quiet;
#[cfg(test)]
mod root_key;
#[cfg(test)]
mod shares;
#[cfg(test)]
mod support;
#[cfg(test)]
mod transport;
