//! The commands, and what each must print. Data only.

/// A command line for an engine.
pub struct Case {
    /// The engine's name.
    pub engine: &'static str,
    /// Lines for a shell.
    pub command: &'static str,
    /// What it prints, with its lines joined by ` / `, and the exit status.
    pub expected: &'static str,
}

const fn case(engine: &'static str, command: &'static str, expected: &'static str) -> Case {
    Case { engine, command, expected }
}

/// All of them, in the order in which they run.
pub const CASES: &[Case] = &[
    case("podman", "podman run --rm --network=none $IMAGE echo hi", "hi, status 0"),
    case("podman", "podman run --rm --network=none $IMAGE sh -c 'exit 7'", "status 7"),
    case("podman", "podman run --rm --network=none $IMAGE nosuch", "status 127"),
    case("podman", "podman run --rm --network=none $IMAGE /etc/passwd", "status 126"),
    case(
        "podman",
        "script --quiet --return --command 'podman run --rm -it --network=none $IMAGE tty' /dev/null",
        "/dev/pts/0, status 0",
    ),
    case("podman", "podman run --rm --network=none --read-only $IMAGE touch /new", "status 1"),
    case(
        "podman",
        "podman run --rm --network=none -v $PWD/volume:/data:ro $IMAGE cat /data/file",
        "of the host, status 0",
    ),
    case(
        "podman",
        "podman run --rm --network=none --user 1000:1001 --cap-drop=all $IMAGE sh -c 'id -u; id -g'",
        "1000 / 1001, status 0",
    ),
    case(
        "podman",
        "podman run --rm --network=none --ulimit nofile=77:88 --ulimit nproc=99:99 $IMAGE sh -c 'ulimit -n'",
        "77, status 0",
    ),
    case("podman", "podman run --rm --network=none --hostname mini $IMAGE hostname", "mini, status 0"),
    case(
        "podman",
        "podman run -d --name one --network=none $IMAGE sleep 100 >/dev/null
podman exec one sh -c 'echo /proc/[0-9]*; exit 7'; echo $?
podman stop -t 1 one
podman rm one",
        "/proc/1 /proc/2 / 7 / one / one, status 0",
    ),
    case(
        "podman kube play",
        "podman play kube --network=none pod.yaml >/dev/null
podman wait mini-hello
podman logs mini-hello
podman pod rm -f mini >/dev/null",
        "0 / mini / hello from kube, status 0",
    ),
    case("ctr", "ctr run --rm --snapshotter native --runc-binary $RUNTIME $IMAGE:latest one echo hi", "hi, status 0"),
    case(
        "ctr",
        "ctr run --rm --snapshotter native --runc-binary $RUNTIME $IMAGE:latest one sh -c 'exit 7'",
        "status 7",
    ),
    case(
        "ctr",
        "script --quiet --return --command 'ctr run --rm -t --snapshotter native --runc-binary $RUNTIME $IMAGE:latest one tty' /dev/null",
        "/dev/pts/0, status 0",
    ),
    case(
        "ctr",
        "ctr run -d --snapshotter native --runc-binary $RUNTIME $IMAGE:latest one sleep 100
ctr task exec --exec-id two one sh -c 'cat /proc/1/comm; exit 6'; echo $?
ctr task kill --signal KILL one
while ctr task ls | grep -q RUNNING; do sleep 0.1; done
ctr task rm one
ctr container rm one",
        "sleep / 6, status 0",
    ),
    // Kubernetes calls containerd, whose part for Kubernetes can't be called from a shell. It can be asked what it has understood.
    case(
        "ctr",
        "containerd --config $EXAMPLE/containerd.toml config dump | grep -c runtimes.mini-docker.options",
        "1, status 0",
    ),
    // Otherwise docker sets the network up in a hook, which our runtime refuses.
    case("docker", "docker run --rm --network=host $IMAGE echo hi", "hi, status 0"),
    case("docker", "docker run --rm --network=host $IMAGE sh -c 'exit 7'", "status 7"),
    case("docker", "docker run --rm --network=host $IMAGE nosuch", "status 127"),
    case(
        "docker",
        "script --quiet --return --command 'docker run --rm -it --network=host $IMAGE tty' /dev/null",
        "/dev/pts/0, status 0",
    ),
    case(
        "docker",
        "docker run -d --name one --network=host $IMAGE sleep 100 >/dev/null
docker exec one sh -c 'cat /proc/1/comm; exit 6'; echo $?
docker stop -t 1 one
docker rm one",
        "sleep / 6 / one / one, status 0",
    ),
    case(
        "buildah",
        "printf 'FROM %s\\nRUN echo built >/file && cat /file\\n' $IMAGE >Containerfile
buildah bud --isolation=oci --runtime $RUNTIME --network=none . 2>/dev/null | grep -x built",
        "built, status 0",
    ),
];
