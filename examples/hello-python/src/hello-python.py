"""Counts the words of a text file and greets the most frequent one."""

import collections
import re

import dxpy


@dxpy.entry_point("main")
def main(text, shortest):
    dxpy.download_dxfile(text, "text.txt")
    with open("text.txt", encoding="utf-8") as lines:
        words = [word.lower() for line in lines for word in re.findall(r"\w+", line)]
    counts = collections.Counter(word for word in words if len(word) >= shortest)
    if not counts:
        raise dxpy.AppError(f"The text has no word of {shortest} letters or more")

    with open("counts.tsv", "w", encoding="utf-8") as table:
        for word, count in counts.most_common():
            print(word, count, sep="\t", file=table)
    greeting = f"Hello, {counts.most_common(1)[0][0]}!"
    print(greeting)
    return {
        "greeting": greeting,
        "words": len(words),
        "counts": dxpy.dxlink(dxpy.upload_local_file("counts.tsv")),
    }


dxpy.run()
