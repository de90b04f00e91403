//! Which connections have something to read: epoll where it exists, and poll elsewhere.
//!
//! With many connections of which few are ready, `poll` costs per connection what epoll costs per ready one; that is the
//! generator's own CPU, which on a shared machine is taken from the server that it measures.

#[cfg(target_os = "linux")]
pub(crate) use linux::Ready;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::Ready;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};
    use std::time::Duration;

    use rustix::buffer::spare_capacity;
    use rustix::event::{Timespec, epoll};

    pub(crate) struct Ready {
        epoll: OwnedFd,
        events: Vec<epoll::Event>,
    }

    impl Ready {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, events: Vec::with_capacity(512) })
        }

        /// Watches a descriptor under this number. One that is closed is forgotten.
        pub(crate) fn watch(&mut self, watched: &impl AsFd, number: usize) -> io::Result<()> {
            let data = epoll::EventData::new_u64(u64::try_from(number).unwrap_or(u64::MAX));
            Ok(epoll::add(&self.epoll, watched, data, epoll::EventFlags::IN)?)
        }

        /// Waits for as long (for ever if there is no time), and puts the numbers of those that are ready into `found`.
        pub(crate) fn wait(&mut self, patience: Option<Duration>, found: &mut Vec<usize>) -> io::Result<()> {
            let patience = patience.map(|patience| Timespec {
                tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: patience.subsec_nanos().into(),
            });
            found.clear();
            self.events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut self.events), patience.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            found.extend(self.events.iter().filter_map(|event| usize::try_from(event.data.u64()).ok()));
            Ok(())
        }
    }
}

// Compiled where it is not used as well, so that its test runs there.
#[cfg(any(test, not(target_os = "linux")))]
mod portable {
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    pub(crate) struct Ready {
        /// By number. Duplicates, since whoever reads from them owns them.
        watched: Vec<Option<OwnedFd>>,
    }

    impl Ready {
        #[cfg_attr(target_os = "linux", expect(clippy::unnecessary_wraps, reason = "as the other one"))]
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self { watched: Vec::new() })
        }

        pub(crate) fn watch(&mut self, watched: &impl AsFd, number: usize) -> io::Result<()> {
            if self.watched.len() <= number {
                self.watched.resize_with(number + 1, || None);
            }
            if let Some(slot) = self.watched.get_mut(number) {
                *slot = Some(watched.as_fd().try_clone_to_owned()?);
            }
            Ok(())
        }

        pub(crate) fn wait(&mut self, patience: Option<Duration>, found: &mut Vec<usize>) -> io::Result<()> {
            let patience = patience.map(|patience| Timespec {
                tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: patience.subsec_nanos().into(),
            });
            found.clear();
            let open = self.watched.iter().enumerate().filter_map(|(number, fd)| Some((number, fd.as_ref()?)));
            let (numbers, mut polled): (Vec<usize>, Vec<PollFd<'_>>) =
                open.map(|(number, fd)| (number, PollFd::new(fd, PollFlags::IN))).unzip();
            match poll(&mut polled, patience.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let ready = numbers.into_iter().zip(&polled).filter(|(_, fd)| !fd.revents().is_empty());
            found.extend(ready.map(|(number, _)| number));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::time::Duration;

    macro_rules! tells_who_is_ready {
        ($name:ident, $ready:ty) => {
            #[test]
            fn $name() {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                let ours = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let (quiet, loud) = (ours(), ours());
                let (_quiet_peer, mut loud_peer) = (listener.accept().unwrap().0, listener.accept().unwrap().0);
                let (mut ready, mut found) = (<$ready>::new().unwrap(), vec![99]);
                ready.watch(&quiet, 3).unwrap();
                ready.watch(&loud, 7).unwrap();
                ready.wait(Some(Duration::from_millis(1)), &mut found).unwrap();
                assert!(found.is_empty(), "{found:?}");
                loud_peer.write_all(b"x").unwrap();
                ready.wait(None, &mut found).unwrap();
                assert_eq!(found, [7]);
            }
        };
    }

    tells_who_is_ready!(the_one_in_use_tells_who_is_ready, super::Ready);
    tells_who_is_ready!(the_portable_one_tells_who_is_ready, super::portable::Ready);
}
