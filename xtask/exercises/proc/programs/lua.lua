#!/usr/bin/env lua5.4
-- WANT: passes: quotes each argument for a shell, because Lua has only os.execute.
-- NEEDS: lua5.4
if arg[1] ~= "run" or not arg[2] then io.stderr:write("usage: run COMMAND [ARG...]\n") os.exit(2) end
local words = {}
for i = 2, #arg do words[#words + 1] = "'" .. arg[i]:gsub("'", "'\\''") .. "'" end
local script = [[hostname mini-docker && mount -t proc -o ro proc rootfs/proc && exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot rootfs "$@"]]
local ok, how, code = os.execute("exec unshare --uts --pid --mount --fork --kill-child sh -c '" .. script .. "' sh " .. table.concat(words, " "))
os.exit(how == "signal" and 128 + code or code)
