#!/bin/sh
# WANT: link-left | mounts-left: never deletes the namespace that `ip netns add` made, so its mount and the veth pair stay.
# NEEDS: ip
shift
name=mini$$
ip netns add $name && ip link add veth$$ type veth peer name eth0 netns $name &&
    ip address add 10.0.0.1/24 dev veth$$ && ip link set veth$$ up &&
    ip -n $name address add 10.0.0.2/24 dev eth0 && ip -n $name link set eth0 up && ip -n $name link set lo up || exit 125
exec nsenter --net=/run/netns/$name "$(dirname "$0")/../../proc/programs/unshare.sh" run "$@"
