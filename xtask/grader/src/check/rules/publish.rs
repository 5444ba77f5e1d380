//! Exercise `publish`: a host port that leads into the container, and a route out. The sandbox is both server and client.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use lab::procfs::Pid;

use super::veth::{CONNECT_TIMEOUT, connect, it_has_a_network_namespace};
use super::*;

const FLAG: &str = "-p";

/// The ports to publish, and an address of the host other than 10.0.0.1 and 127.0.0.1.
struct Network {
    host_port: u16,
    port: u16,
    address: Ipv4Addr,
}

impl Network {
    /// Gives the throwaway host its addresses. It has a network namespace to itself, so all ports are free.
    fn make(sandbox: &Sandbox) -> Checked<Network> {
        // From the networks reserved for benchmarks.
        let [a, b, c] = [2, 256, 254].map(|count| sandbox.draw.number(0, count - 1) as u8);
        let address = Ipv4Addr::new(198, 18 + a, b, 1 + c);
        for words in ["link set lo up".to_owned(), format!("address add {address}/32 dev lo")] {
            let output = Command::new("ip").args(words.split(' ')).stdin(Stdio::null()).output().context("ip(8)")?;
            let said = shorten(&String::from_utf8_lossy(&output.stderr));
            if !output.status.success() {
                return Err(cannot_run(
                    format!("`ip {words}` on the throwaway host: {said}"),
                    "`ip` is part of iproute2.",
                ));
            }
        }
        // Below the ports that the kernel chooses, and in different ranges.
        let host_port = 10_000 + sandbox.draw.number(0, 9_999) as u16;
        Ok(Network { host_port, port: 2_000 + sandbox.draw.number(0, 6_999) as u16, address })
    }

    fn flag(&self) -> String {
        format!("{}:{}", self.host_port, self.port)
    }

    /// Connects to the published port from outside. The program may need a moment to listen.
    fn connect(&self, address: Ipv4Addr) -> std::io::Result<TcpStream> {
        let start = Instant::now();
        loop {
            match TcpStream::connect_timeout(&(address, self.host_port).into(), CONNECT_TIMEOUT) {
                Err(_) if start.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(5)),
                result => return result,
            }
        }
    }

    fn is_open(&self) -> bool {
        let address = (Ipv4Addr::LOCALHOST, self.host_port).into();
        TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).is_ok()
    }

    /// Listens in the network of `pid`.
    fn listen(&self, sandbox: &Sandbox, pid: Pid) -> Result<TcpListener> {
        let bind = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, self.port));
        let listener = sandbox.inside(pid, "ns/net", bind)?.context("bind, in the container's network")?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }
}

/// Both ends of a connection through the published port.
struct Connection {
    client: TcpStream,
    server: TcpStream,
}

/// Why there is no connection.
enum Refusal {
    /// No process listens at that address, as the error says.
    NotPublished(Ipv4Addr, std::io::Error),
    /// The connection was accepted, but didn't arrive.
    Elsewhere,
}

impl Refusal {
    /// Returns the failure of a first connection.
    fn failure(&self, network: &Network) -> Error {
        let (flag, expected) = (network.flag(), "a connection to HOSTPORT that reaches PORT in the container");
        match self {
            Refusal::NotPublished(address, error) => {
                let seen = format!("connecting to {address}:{} failed: {error}", network.host_port);
                fail!(NotPublished, expected, "with `{FLAG} {flag}`, {seen}")
            }
            Refusal::Elsewhere => {
                let seen = "a connection to the host was accepted, but didn't arrive in the container";
                fail!(PublishedElsewhere, expected, "with `{FLAG} {flag}`, {seen}")
            }
        }
    }
}

impl Connection {
    fn open(network: &Network, address: Ipv4Addr, listener: &TcpListener) -> Checked<Result<Connection, Refusal>> {
        let client = match network.connect(address) {
            Ok(client) => client,
            Err(error) => return Ok(Err(Refusal::NotPublished(address, error))),
        };
        let Some(server) = accept(listener)? else { return Ok(Err(Refusal::Elsewhere)) };
        for end in [&client, &server] {
            end.set_read_timeout(Some(CONNECT_TIMEOUT))?;
        }
        Ok(Ok(Connection { client, server }))
    }

    /// True if a word arrives, and an answer.
    fn exchanges_words(&mut self) -> bool {
        passes(&mut self.client, &mut self.server) && passes(&mut self.server, &mut self.client)
    }

    /// True if the server sees that the client shut down its direction, and the client can still read an answer.
    fn ends_direction_by_direction(&mut self) -> bool {
        let ended = self.client.shutdown(Shutdown::Write).is_ok() && self.server.read(&mut [0]).is_ok_and(|it| it == 0);
        ended && passes(&mut self.server, &mut self.client)
    }
}

fn accept(listener: &TcpListener) -> Result<Option<TcpStream>> {
    let start = Instant::now();
    while start.elapsed() < CONNECT_TIMEOUT {
        if let Ok((server, _)) = listener.accept() {
            server.set_nonblocking(false)?;
            return Ok(Some(server));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(None)
}

fn passes(from: &mut TcpStream, to: &mut TcpStream) -> bool {
    let word = fastrand::u64(..).to_ne_bytes();
    let mut read = [0; 8];
    from.write_all(&word).is_ok() && to.read_exact(&mut read).is_ok() && read == word
}

/// Runs the program with a published port, and tests the port while the command waits.
fn with_port<T: Default>(
    sandbox: &Sandbox,
    network: &Network,
    test: impl FnOnce(&TcpListener) -> Checked<T>,
) -> Checked<(Evidence, T)> {
    let flag = network.flag();
    let invocation = Invocation { flags: &[FLAG, &flag], ..Default::default() };
    let (evidence, result) = observe_more(sandbox, &invocation, |command| {
        // Without a network namespace there is nothing to publish, which fails below.
        if !command.new.contains(&"net") {
            return Ok(T::default());
        }
        test(&network.listen(sandbox, command.pid())?)
    })?;
    evidence.command_with(FLAG)?;
    it_has_a_network_namespace(&evidence)?;
    Ok((evidence, result))
}

/// A connection to the port of the host, at each of its addresses, arrives in the container.
pub fn a_port_is_published(sandbox: &Sandbox) -> Checked {
    let network = Network::make(sandbox)?;
    let (_, ([first, second], is_open)) = with_port(sandbox, &network, |listener| {
        // The first connection is closed before the second begins.
        let try_it = |address| Ok::<_, Error>(Connection::open(&network, address, listener)?.err());
        let first = try_it(Ipv4Addr::LOCALHOST)?;
        Ok(([first, try_it(network.address)?], network.is_open()))
    })?;
    let flag = network.flag();
    match (first, second) {
        (None, None) => Ok(()),
        (Some(refusal), _) => Err(refusal.failure(&network)),
        (None, Some(Refusal::NotPublished(address, error))) if is_open => {
            let seen = format!(
                "with `{FLAG} {flag}`, connecting to {address} failed: {error}; connecting to 127.0.0.1 worked"
            );
            Err(fail!(PublishedLocally, "the port published at every address of the host", "{seen}"))
        }
        (None, Some(_)) => {
            let seen = format!("with `{FLAG} {flag}`, one connection arrived in the container, but the next didn't");
            Err(fail!(OneAtATime, "any number of connections", "{seen}"))
        }
    }
}

/// Both directions of a connection work, each until its own end, and several connections work at a time.
pub fn connections_are_complete(sandbox: &Sandbox) -> Checked {
    let network = Network::make(sandbox)?;
    let (_, fault) = with_port(sandbox, &network, |listener| {
        let open = || Connection::open(&network, network.address, listener);
        let mut first = match open()? {
            Ok(connection) => connection,
            Err(refusal) => return Err(refusal.failure(&network)),
        };
        if !first.exchanges_words() {
            return Ok(Some((Diagnosis::ConnectionCut, "a word or its answer didn't arrive")));
        }
        let second = open()?.ok();
        if !second.is_some_and(|mut it| it.exchanges_words()) {
            return Ok(Some((Diagnosis::OneAtATime, "a second connection didn't work while the first was open")));
        }
        let seen = "after the client shut down its direction, the server didn't see the end or couldn't answer";
        Ok((!first.ends_direction_by_direction()).then_some((Diagnosis::ConnectionCut, seen)))
    })?;
    let expected = "data and ends forwarded in both directions, for several connections at a time";
    fault.map_or(Ok(()), |(diagnosis, seen)| Err(failure(diagnosis, seen.to_owned(), expected)))
}

/// The port is closed when `run` has ended, even by SIGKILL.
pub fn the_port_is_closed_afterwards(sandbox: &Sandbox) -> Checked {
    let network = Network::make(sandbox)?;
    let (evidence, ()) = with_port(sandbox, &network, |_| Ok(()))?;
    let expected = "HOSTPORT closed";
    let lines: Vec<_> = evidence.changes.processes_left.iter().map(lab::procfs::Process::line).collect();
    let still = format!("still running: {}", shorten(&lines.join(", ")));
    require!(!network.is_open(), PortLeft, expected, "after `run` ended, a connection was accepted; {still}");
    require!(lines.is_empty(), ProcessesLeft, "no process left", "{still}");

    let flag = network.flag();
    let invocation = Invocation { flags: &[FLAG, &flag], ..Default::default() };
    let word = sandbox.draw.word();
    let line = ["sh", "-c", "read word", &word];
    let mut run = sandbox.start(&invocation, &line)?;
    wait_for(sandbox, &mut run, &line)?;
    // The port must be open before it can be closed.
    run.wait_until(PATIENCE, |_| Ok(network.is_open()))?;
    sandbox.signal(run.pid()?, Signal::SIGKILL)?;
    run.wait()?;
    let left = run.left_behind()?;
    let lines: Vec<_> = left.iter().map(lab::procfs::Process::line).collect();
    let still = format!("still running: {}", shorten(&lines.join(", ")));
    require!(!network.is_open(), PortLeft, expected, "after `run` was killed, a connection was accepted; {still}");
    require!(lines.is_empty(), ProcessesLeft, "no process left", "after `run` was killed, {still}");
    Ok(())
}

/// The container has a route to the host's other addresses.
pub fn it_reaches_the_outside(sandbox: &Sandbox) -> Checked {
    let network = Network::make(sandbox)?;
    let listener = TcpListener::bind((network.address, 0)).context("bind, on the throwaway host")?;
    let address: SocketAddr = listener.local_addr()?;
    let (evidence, refusal) = observe_more(sandbox, &Invocation::default(), |command| {
        Ok(sandbox.inside(command.pid(), "ns/net", || connect(&address))?.err())
    })?;
    evidence.command()?;
    it_has_a_network_namespace(&evidence)?;
    let Some(error) = refusal else { return Ok(()) };
    let to = network.address;
    let seen = format!("connecting from the container to {to}, an address of the host, failed: {error}");
    Err(fail!(NoRouteOut, "a connection", "{seen}"))
}
