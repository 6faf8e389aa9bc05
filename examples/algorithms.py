"""Where does a passage of the standard library come back, almost the same?"""

import sysconfig
from pathlib import Path

import tractable
from tractable.algorithms.hamming import hamming_distances, k_mismatch, mismatches

folder = Path(sysconfig.get_paths()["stdlib"])
text = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py"))[:60])

start = text.index(b"def __repr__(self")
passage = text[start : start + 200]
with tractable.count() as cost:
    profile = hamming_distances(text, passage)
print(f"{len(text):,} bytes, a passage of {len(passage)}: {len(profile):,} distances counted in")
print(f"{cost['operations']:,} operations; one by one would be {len(profile) * len(passage):,}.")

with tractable.count() as cost:
    close = k_mismatch(text, passage, 100)
print(
    f"Of {(close <= 100).sum()} places with at most 100 mismatches, {cost['operations']:,} steps."
)

print("\nLines that are nearly `raise TypeError(`, read piece by piece:")
for position, distance in mismatches(text, b"    raise TypeError(", 3):
    if distance:
        line = text[position : text.index(b"\n", position)].decode().strip()
        print(f"  byte {position:>8,}: {distance} off   {line[:60]}")

genome = "ACGTNNacgtTTAGGCacgGCCTAAaNCGT" * 3
print("\nGCCTAA in a stretch of DNA, on both strands, at most one mismatch:")
for position, distance, strand in mismatches(genome, "GCCTAA", 1, "dna", both_strands=True):
    print(f"  {strand} strand, position {position}, {distance} off")
