//! Exercise `veth`: a network of its own. The sandbox makes connections, from inside and to the outside.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use lab::procfs::Pid;

use super::*;

/// The host's end, and the container's.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const CONTAINER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

pub fn it_has_a_network_namespace(evidence: &Evidence) -> Checked {
    let command = evidence.command()?;
    let (has, expected) = (command.new.contains(&"net"), "a network namespace of its own");
    require!(has, NoNetworkNamespace, expected, "/proc/{}/ns/net is the host's", command.pid());
    Ok(())
}

/// 127.0.0.1 answers in there.
pub fn it_has_a_loopback(sandbox: &Sandbox) -> Checked {
    let (evidence, refusal) = observe_more(sandbox, &Invocation::default(), |command| {
        let connected = sandbox.inside(command.pid(), "ns/net", || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            TcpStream::connect_timeout(&listener.local_addr()?, CONNECT_TIMEOUT)
        })?;
        Ok(connected.err())
    })?;
    it_has_a_network_namespace(&evidence)?;
    match refusal {
        None => Ok(()),
        Some(error) => Err(fail!(NoLoopback, "it is taken", "a connection to 127.0.0.1 in there: {error}")),
    }
}

/// A connection from the container to the host is accepted.
pub fn it_reaches_the_host(sandbox: &Sandbox) -> Checked {
    // A kernel with tunnels has some of them in every network namespace.
    let usual = interfaces(sandbox, 1)?;
    let (evidence, observed) = observe_more(sandbox, &Invocation::default(), |command| {
        let pid = command.pid();
        let observed = (connect(sandbox, pid)?, interfaces(sandbox, pid)?, interfaces(sandbox, 1)?);
        // Not that it is reachable: both have the same address.
        let another = in_another_container(sandbox, |command| Ok(interfaces(sandbox, command.pid)?))?;
        Ok(Some((observed, another)))
    })?;
    it_has_a_network_namespace(&evidence)?;
    let pid = evidence.command()?.pid();
    let Some(((connection, all, on_host), another)) = observed else { return Ok(()) };
    let added = |names: &[String]| names.iter().filter(|name| !usual.contains(name)).cloned().collect::<Vec<_>>();
    let inside = added(&all);
    require!(!inside.is_empty(), NoLink, "one end of a veth pair", "in /proc/{pid}/net/dev: {}", all.join(", "));
    let has_one_outside = inside.len() == 1 || !added(&on_host).is_empty();
    let seen = format!("in /proc/{pid}/net/dev: {}; on the host, none is new", inside.join(", "));
    require!(has_one_outside, BothEndsInside, "one of them on the host", "{seen}");
    let seen = match connection {
        Ok(from) if from.ip() == CONTAINER => return two_can_run(&evidence, another, &usual),
        Ok(from) => format!("a connection from {} to {HOST}", from.ip()),
        Err(why) => why,
    };
    Err(fail!(NotReachable, format!("a connection from {CONTAINER} to {HOST}"), "{seen}"))
}

/// While one container runs, another one can, and neither leaves its link on the host.
fn two_can_run(evidence: &Evidence, another: Result<Vec<String>, String>, usual: &[String]) -> Checked {
    let expected = "a second container, with a link of its own, while the first one runs";
    match another {
        Err(why) => return Err(fail!(LinkNameTaken, expected, "the second one: {why}")),
        Ok(names) if names.iter().all(|name| usual.contains(name)) => {
            return Err(fail!(LinkNameTaken, expected, "the second one has no link"));
        }
        Ok(_) => {}
    }
    let left = evidence.changes.interfaces_left.join(", ");
    require!(left.is_empty(), LinkLeft, "the interfaces that were there before", "on the host there is still {left}");
    Ok(())
}

/// Connects to the host from the network of `pid`. Returns the address that it came from, or why it failed.
fn connect(sandbox: &Sandbox, pid: Pid) -> Result<Result<SocketAddr, String>> {
    let listener = match TcpListener::bind((HOST, 0)) {
        Ok(listener) => listener,
        Err(error) => return Ok(Err(format!("on the host, nobody is {HOST}: {error}"))),
    };
    let address = listener.local_addr()?;
    let connect = || TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).and_then(|it| it.local_addr());
    Ok(sandbox.inside(pid, "ns/net", connect)?.map_err(|error| format!("a connection to {HOST}: {error}")))
}

/// Returns the interfaces that a process has: proc_pid_net(5), two lines of heading, then one for each.
fn interfaces(sandbox: &Sandbox, pid: Pid) -> Result<Vec<String>> {
    let table = sandbox.host.read(pid, "net/dev")?;
    let table = String::from_utf8_lossy(&table);
    Ok(table.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect())
}

/// Tries to make a veth pair on this host.
pub fn the_kernel_has_veth() -> Checked {
    let ip = |words: &str| Command::new("ip").args(words.split(' ')).stdin(Stdio::null()).output();
    let output = ip("link add probe0 type veth peer name probe1")
        .map_err(|error| cannot_run(format!("ip(8): {error}"), "It is of iproute2: `sudo apt install iproute2`."))?;
    if !output.status.success() {
        let said = shorten(&String::from_utf8_lossy(&output.stderr));
        let cure = "`sudo modprobe veth`, if its kernel has that.";
        return Err(cannot_run(format!("this machine makes no veth pair: {said}"), cure));
    }
    let _ = ip("link delete probe0");
    Ok(())
}
