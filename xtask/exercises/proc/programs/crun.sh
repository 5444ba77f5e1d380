#!/bin/bash
# WANT: passes: runs crun with a bundle of its own for each run.
# NEEDS: crun python3 cgroups-for-users
[ "$1" = run ] && [ $# -gt 1 ] || { echo "usage: $0 run COMMAND [ARG...]" >&2; exit 2; }
shift
bundle=$(mktemp -d)
python3 - "$bundle" "$PWD/rootfs" "$@" <<'END'
import json, sys
bundle, root, *args = sys.argv[1:]
process = {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": args, "cwd": "/", "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]}
proc = {"destination": "/proc", "type": "proc", "source": "proc", "options": ["ro"]}
namespaces = [{"type": kind} for kind in ("pid", "mount", "uts")]
config = {"ociVersion": "1.0.0", "process": process, "root": {"path": root}, "hostname": "mini-docker", "mounts": [proc],
          "linux": {"namespaces": namespaces}}
json.dump(config, open(bundle + "/config.json", "w"))
END
crun --root "$bundle/state" --cgroup-manager disabled run --bundle "$bundle" "mini-docker-$$"
status=$?
rm -rf "$bundle"
exit $status
