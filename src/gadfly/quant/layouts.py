"""What the bytes of a block mean, one numpy record per format; little-endian.

    d      scale: a float16 that everything in the block is multiplied with
    m      minimum: a float16 that is added (Q4_1, Q5_1)
    qs     codes, usually two to a byte; which elements share a byte is drawn per format
    qh     further, higher bits of the codes
    scales small integers, one per sub-block of 16 or 32 elements, themselves multiplied with d (and dmin)

Blocks of 32, low nibble (lo) and high nibble (hi) of byte i:    qs[i]  = code[i] | code[i + 16] << 4
"""

import numpy as np

__all__ = ["IQ4_VALUES", "LAYOUTS"]

LAYOUTS = {
    # x[i] = d·(code[i] − 8)
    #   | d:2 | qs:16 |                    qs[i] = code[i] | code[i+16] << 4
    "Q4_0": np.dtype([("d", "<f2"), ("qs", "u1", 16)]),
    # x[i] = d·code[i] + m
    #   | d:2 | m:2 | qs:16 |
    "Q4_1": np.dtype([("d", "<f2"), ("m", "<f2"), ("qs", "u1", 16)]),
    # x[i] = d·(code[i] − 16); bit i of the 32 bits of qh is bit 4 of code[i]
    #   | d:2 | qh:4 | qs:16 |
    "Q5_0": np.dtype([("d", "<f2"), ("qh", "u1", 4), ("qs", "u1", 16)]),
    # x[i] = d·code[i] + m
    #   | d:2 | m:2 | qh:4 | qs:16 |
    "Q5_1": np.dtype([("d", "<f2"), ("m", "<f2"), ("qh", "u1", 4), ("qs", "u1", 16)]),
    # x[i] = d·qs[i]
    #   | d:2 | qs:32 |
    "Q8_0": np.dtype([("d", "<f2"), ("qs", "i1", 32)]),
    # x = d·lo(scales[s])·code − dmin·hi(scales[s]), s = i // 16; a byte holds four codes, 32 elements apart:
    #   | scales:16 | qs:64 | d:2 | dmin:2 |
    #   qs[32h + j] = code[128h + j] | code[128h + 32 + j] << 2 | code[128h + 64 + j] << 4 | code[128h + 96 + j] << 6
    "Q2_K": np.dtype([("scales", "u1", 16), ("qs", "u1", 64), ("d", "<f2"), ("dmin", "<f2")]),
    # x = d·(scale[i // 16] − 32)·(code − 4·(1 − high bit)); bit i // 32 of hmask[i % 32] is element i's high bit
    #   | hmask:32 | qs:64 as Q2_K | scales:12 | d:2 |     6-bit scales A…P, four low bits and two high bits apart:
    #   bytes 0–7  IIIIAAAA JJJJBBBB KKKKCCCC LLLLDDDD MMMMEEEE NNNNFFFF OOOOGGGG PPPPHHHH
    #   bytes 8–11 MMIIEEAA NNJJFFBB OOKKGGCC PPLLHHDD
    "Q3_K": np.dtype([("hmask", "u1", 32), ("qs", "u1", 64), ("scales", "u1", 12), ("d", "<f2")]),
    # x = d·scale[s]·code − dmin·min[s], s = i // 32;    qs[32h + j] = code[64h + j] | code[64h + 32 + j] << 4
    #   | d:2 | dmin:2 | scales:12 | qs:128 |     6-bit scales A…H and mins a…h:
    #   bytes 0–3  EEAAAAAA FFBBBBBB GGCCCCCC HHDDDDDD    4–7  eeaaaaaa ffbbbbbb ggcccccc hhdddddd
    #   bytes 8–11 eeeeEEEE ffffFFFF ggggGGGG hhhhHHHH    (of E…h the four low bits)
    "Q4_K": np.dtype([("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", 12), ("qs", "u1", 128)]),
    # as Q4_K; bit i // 32 of qh[i % 32] is bit 4 of code[i]
    #   | d:2 | dmin:2 | scales:12 | qh:32 | qs:128 |
    "Q5_K": np.dtype([("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", 12), ("qh", "u1", 32), ("qs", "u1", 128)]),
    # x = d·scales[i // 16]·(code − 32); in each half h of 128 elements
    #   | ql:128 | qh:64 | scales:16 | d:2 |
    #   ql[64h + j] = low 4 bits of code[128h + j] | those of code[128h + 64 + j] << 4
    #   qh[32h + j] = high 2 bits of the four codes that share a byte in Q2_K
    "Q6_K": np.dtype([("ql", "u1", 128), ("qh", "u1", 64), ("scales", "i1", 16), ("d", "<f2")]),
    # x[i] = d·IQ4_VALUES[code[i]], bytes as Q4_0
    "IQ4_NL": np.dtype([("d", "<f2"), ("qs", "u1", 16)]),
    # x = d·(scale[s] − 32)·IQ4_VALUES[code], s = i // 32; each 16 bytes of qs as Q4_0
    #   | d:2 | scales_h:2 | scales_l:4 | qs:128 |     scale[s] = nibble s of scales_l | bits 2s, 2s+1 of scales_h << 4
    "IQ4_XS": np.dtype([("d", "<f2"), ("scales_h", "<u2"), ("scales_l", "u1", 4), ("qs", "u1", 128)]),
}

# Sixteen levels spaced for weights that are roughly normally distributed.
IQ4_VALUES = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)
