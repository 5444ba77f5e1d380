# Prints the state of a container: sh state.sh /mnt/oci/one
pid=$(grep -o '"pid":[0-9]*' "$1/state.json" | cut -d: -f2)
born=$(grep -o '"startTime":[0-9]*' "$1/state.json" | cut -d: -f2)
# Field 2 is a name in parentheses, and may contain spaces. What is left begins with field 3.
fields=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null)
state=$(echo "$fields" | cut -d' ' -f1)
start_time=$(echo "$fields" | cut -d' ' -f20)
program=$(readlink "/proc/$pid/exe")

if [ "$start_time" != "$born" ] || [ "$state" = Z ]; then
    echo stopped
else
    case $program in
    /memfd:*) echo created ;;
    *) echo running ;;
    esac
fi
