#!/bin/bash
# Aligns read pairs to a genome and counts the reads that map.
set -e -o pipefail

main() {
    dx-download-all-inputs
    mkdir -p ~/index ~/out/alignments ~/out/report

    echo "Indexing $genome_name"
    gzip -cdf "$genome_path" > ~/index/genome.fa
    bowtie2-build --quiet ~/index/genome.fa ~/index/genome

    echo "Aligning $reads_1_name and $reads_2_name on $(nproc) cores: bowtie2 $options"
    bam=~/out/alignments/$reads_1_prefix.bam
    # shellcheck disable=SC2086 # $options is a list of words
    bowtie2 --threads "$(nproc)" $options -x ~/index/genome -1 "$reads_1_path" -2 "$reads_2_path" |
        samtools sort -o "$bam" -

    samtools flagstat "$bam" > ~/out/report/"$reads_1_prefix".flagstat.txt
    mapped_reads=$(samtools view --count --exclude-flags UNMAP,SECONDARY,SUPPLEMENTARY "$bam")
    echo "$mapped_reads reads map"

    dx-jobutil-add-output mapped_reads "$mapped_reads" --class=int
    dx-upload-all-outputs
}
