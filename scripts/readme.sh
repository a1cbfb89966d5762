#!/usr/bin/env bash
# Prints commands from README.md, so that what CI runs is what the README says.
#
#   scripts/readme.sh run    the first block after <!-- ci: run -->
#   scripts/readme.sh test   the first block after <!-- ci: test -->
#   scripts/readme.sh walk   all blocks between <!-- ci: walk --> and <!-- ci: end -->
#   scripts/readme.sh stock  the same behind <!-- ci: stock -->
#
# A block is fenced by ```bash or ```sh; other fences (a shown answer) are left out. A missing marker is an error.
set -euo pipefail

name=${1:?usage: scripts/readme.sh run|test|walk|stock}
readme=${README:-$(dirname "$0")/../README.md}

awk -v name="$name" -v readme="$readme" '
    BEGIN { several = name == "walk" || name == "stock" }
    function fail(why) { print "readme.sh: " readme ": " why > "/dev/stderr"; failed = 1; exit 1 }

    /^[ ]*<!-- ci: [a-z]+ -->[ ]*$/ && !fenced {
        if (inside && several && $3 == "end") { complete = 1; exit }
        if (inside) fail("no block of bash between \"ci: " name "\" and \"ci: " $3 "\"")
        if ($3 == name) inside = 1
        next
    }
    /^[ ]*```/ {
        if (fenced) {
            fenced = 0
            if (inside && wanted) {
                blocks++
                if (!several) { complete = 1; exit }
            }
        } else {
            fenced = 1
            wanted = ($0 ~ /^[ ]*```(bash|sh)[ ]*$/)
            indent = match($0, /`/) - 1
        }
        next
    }
    inside && fenced && wanted { print (substr($0, 1, indent) ~ /^ *$/) ? substr($0, indent + 1) : $0 }

    END {
        if (failed) exit 1
        if (!inside) fail("no marker <!-- ci: " name " -->")
        if (!complete) fail(several ? "no marker <!-- ci: end --> after <!-- ci: walk -->" : "no block of bash after <!-- ci: " name " -->")
        if (!blocks) fail("no block of bash after <!-- ci: " name " -->")
    }
' "$readme"
