#!/bin/bash
# Greets somebody. The command `greet` comes from this applet's resources/ folder.

main() {
    mkdir -p out/greeting
    for _ in $(seq "$times"); do
        greet "$name"
    done | tee out/greeting/greeting.txt

    length=$(wc -c < out/greeting/greeting.txt)
    dx-jobutil-add-output length "$length" --class=int
    dx-upload-all-outputs
}
