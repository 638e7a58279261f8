#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# run.sh                              the main verifications, minutes
# run.sh model.pml "-DFLAGS" ["gcc"]  one of them: one line of result
#
# Needs spin (Debian: spin) and gcc.  A trail stays in $TMPDIR/ws-bus-model.

cd "$(dirname "$0")" || exit 1

verify() {
    local model=$1 flags=$2 more=$3 dir start end errors states

    dir=${TMPDIR:-/tmp}/ws-bus-model/$(tr -c 'a-zA-Z0-9\n' _ <<<"$model$flags")
    mkdir -p "$dir" && cp "$model" "$dir/" && pushd "$dir" >/dev/null || exit 1

    spin -a $flags "$model" >spin.out 2>&1 || { cat spin.out; exit 1; }
    gcc -O2 -DSAFETY -DVECTORSZ=2048 -DCOLLAPSE -DMEMLIM=12000 $more \
        -o pan pan.c 2>gcc.out || { cat gcc.out; exit 1; }

    start=$(date +%s)
    timeout "${LIM:-900}" ./pan -E -m2000000 >out 2>&1
    end=$(date +%s)

    errors=$(grep -ao 'errors: [0-9]*' out)
    states=$(awk '/states, stored/ { print $1 }' out)
    echo "$model $flags $more => ${errors:-NOT FINISHED}" \
         "states=$states $((end - start))s" \
         "$(grep -aoE 'assertion violated.*|max search depth too small|out of memory|reached -.*limit.*' out | head -1)"
    popd >/dev/null
}

if [ $# -gt 0 ]; then
    verify "$@"
    exit
fi

# what holds

verify ring.pml
verify tail.pml
verify last.pml
verify resync.pml
verify mark.pml
verify skip.pml
verify version.pml
verify wake.pml "-DONEW"
verify wake.pml "-DONEW -DPING"
verify wake.pml "-DONEW -DMORTAL_PUB -DTIMER"
verify wake.pml "-DONEPUB -DONEW -DMORTAL_PUB -DMORTAL_W -DTIMER"
verify wake.pml "-DONEPUB -DONEW -DMORTAL_W -DTIMER -DSWEEP -DMORTAL_SWEEP"
verify wake.pml "-DONEPUB"
verify cursor.pml "-DNSEQ=3"
verify cursor.pml "-DNSEQ=3 -DEVICT"
verify cursor.pml "-DNSEQ=3 -DEVICT -DREACH_EQ"
verify cursor.pml "-DNSEQ=2 -DEVICT -DNPING=2 -DMONO2"

# what must fail: one rule is broken in each

for flag in NO_WB1 NO_WB2 NO_RF NO_RA NO_CHECK; do
    verify ring.pml "-D$flag"
done

for flag in TWO_WORDS NO_AGAIN; do
    verify tail.pml "-D$flag"
done

for flag in HINT_AFTER NO_PENDING NO_CHECK NO_POS; do
    verify last.pml "-D$flag"
done

for flag in COUNT_LATE DONE_EARLY CLEAR_FIRST PID_FIRST NO_EVERY; do
    verify resync.pml "-D$flag"
done

for flag in MARK_FIRST MARK_LAST BLIND NO_LOOK; do
    verify mark.pml "-D$flag"
done

for flag in NO_PEND HEAD_FIRST REPAIR_NO_PEND; do
    verify skip.pml "-D$flag"
done

for flag in NO_CLAMP WORD_LATE WORD_FIRST ASK_FIRST; do
    verify version.pml "-D$flag"
done

for flag in NO_MB ONE_LOOK WAKE_IF_PENDING XCHG_EARLY TAKE_NOLOCK SUB_NOLOCK \
            NO_ARM_AT_START MORTAL_PUB "PING -DPING_PENDING_FIRST" \
            "MORTAL_PUB -DTIMER -DIF_ZERO" "MORTAL_PUB -DTIMER -DHEAD_FIRST"
do
    verify wake.pml "-DONEW -D$flag"
done

for flag in NO_RECHECK PID_FIRST; do
    verify wake.pml "-DONEPUB -DONEW -DMORTAL_W -DTIMER -DSWEEP -DMORTAL_SWEEP -D$flag"
done

verify wake.pml "-DONEPUB -DMORTAL_W -DTIMER -DSWEEP -DMORTAL_SWEEP -DBY_ROOT"

for flag in NO_SUBTAKE NO_RAISE FWD BARE_SEQ PONG_WCUR PONG_MAXQ EV_FIRST MONO; do
    verify cursor.pml "-DNSEQ=3 -D$flag"
done

for flag in NO_GAPRAISE GAP_ONE GAP_QUEUED W_SKIP; do
    verify cursor.pml "-DNSEQ=3 -DEVICT -D$flag"
done
