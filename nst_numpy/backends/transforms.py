"""Winograd's transforms, compiled. `winograd` has the matrices and the mathematics.

A transform is written out sum by sum, and runs over all channels of several pixels at once.
"""

from typing import Any

import numpy as np

from nst_numpy.backends.loops import compiled, inlined

GROUP = 4  # tiles side by side that are transformed together: longer loops whose data still fits into the cache


@inlined
def _Bt6(k: Any, d0: Any, d1: Any, d2: Any, d3: Any, d4: Any, d5: Any, d6: Any, d7: Any) -> tuple[Any, ...]:
    """Bᵀ d. The points ±p share their even and odd parts."""
    a, b = d2 + d6 - k(4.25) * d4, d1 + d5 - k(4.25) * d3
    e, f = k(0.25) * d6 + k(0.0625) * d2 - k(0.3125) * d4, k(0.125) * d1 - k(0.625) * d3 + k(0.5) * d5
    g, h = k(4) * d6 + k(16) * d2 - k(20) * d4, k(8) * d1 - k(10) * d3 + k(2) * d5
    return d0 - d6 + k(5.25) * (d4 - d2), a + b, a - b, e + f, e - f, g + h, g - h, d7 - d1 + k(5.25) * (d3 - d5)


@inlined
def _At6(k: Any, m0: Any, m1: Any, m2: Any, m3: Any, m4: Any, m5: Any, m6: Any, m7: Any) -> tuple[Any, ...]:
    """Aᵀ m."""
    s, d, p, q, u, v = m1 + m2, m1 - m2, m3 + m4, m3 - m4, m5 + m6, m5 - m6
    return (
        m0 + s + p + u,
        d + k(2) * q + k(0.5) * v,
        s + k(4) * p + k(0.25) * u,
        d + k(8) * q + k(0.125) * v,
        s + k(16) * p + k(0.0625) * u,
        d + k(32) * q + k(0.03125) * v + m7,
    )


@compiled
def transform_input_6(
    padded: np.ndarray, order: np.ndarray, rows: int, columns: int, V: np.ndarray, first: int
) -> None:
    """V = Bᵀ d B for each 8×8 patch d of a strip; patches overlap by two.

    `padded` is (6 rows + 2, 6 columns + 2, C). V is (64, tiles, C); the strip begins at the tile `first`, and the
    element (i, j) of a transformed patch goes to the plane 8 · order[i] + order[j].
    """
    k = padded.dtype.type
    C = padded.shape[2]
    lines = padded.reshape(padded.shape[0], -1)
    t = np.empty((8, (6 * GROUP + 2) * C), padded.dtype)
    t0, t1, t2, t3, t4, t5, t6, t7 = t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7]
    for row in range(rows):
        for group in range(0, columns, GROUP):
            here = min(GROUP, columns - group)
            begin, count, y = 6 * group * C, (6 * here + 2) * C, 6 * row
            s0, s1, s2, s3 = (
                lines[y, begin : begin + count],
                lines[y + 1, begin : begin + count],
                lines[y + 2, begin : begin + count],
                lines[y + 3, begin : begin + count],
            )
            s4, s5, s6, s7 = (
                lines[y + 4, begin : begin + count],
                lines[y + 5, begin : begin + count],
                lines[y + 6, begin : begin + count],
                lines[y + 7, begin : begin + count],
            )
            for c in range(count):
                v = _Bt6(k, s0[c], s1[c], s2[c], s3[c], s4[c], s5[c], s6[c], s7[c])
                t0[c], t1[c], t2[c], t3[c] = v[0], v[1], v[2], v[3]
                t4[c], t5[c], t6[c], t7[c] = v[4], v[5], v[6], v[7]
            for column in range(here):
                tile = first + row * columns + group + column
                for i in range(8):
                    p, at = 8 * order[i], 6 * column * C
                    s0, s1 = t[i, at : at + C], t[i, at + C : at + 2 * C]
                    s2, s3 = t[i, at + 2 * C : at + 3 * C], t[i, at + 3 * C : at + 4 * C]
                    s4, s5 = t[i, at + 4 * C : at + 5 * C], t[i, at + 5 * C : at + 6 * C]
                    s6, s7 = t[i, at + 6 * C : at + 7 * C], t[i, at + 7 * C : at + 8 * C]
                    v0, v1, v2, v3 = (
                        V[p + order[0], tile],
                        V[p + order[1], tile],
                        V[p + order[2], tile],
                        V[p + order[3], tile],
                    )
                    v4, v5, v6, v7 = (
                        V[p + order[4], tile],
                        V[p + order[5], tile],
                        V[p + order[6], tile],
                        V[p + order[7], tile],
                    )
                    for c in range(C):
                        v = _Bt6(k, s0[c], s1[c], s2[c], s3[c], s4[c], s5[c], s6[c], s7[c])
                        v0[c], v1[c], v2[c], v3[c] = v[0], v[1], v[2], v[3]
                        v4[c], v5[c], v6[c], v7[c] = v[4], v[5], v[6], v[7]


@compiled
def transform_output_6(
    M: np.ndarray, first: int, order: np.ndarray, rows: int, columns: int, tiles: np.ndarray
) -> None:
    """Aᵀ m A for each of the transformed tiles m of a strip: M (64, tiles, K), planes and `first` as above.

    `tiles` is (6 rows, 6 columns, K).
    """
    k = tiles.dtype.type
    K = tiles.shape[2]
    planes = M.reshape(M.shape[0], -1)
    t = np.empty((6, 8, GROUP * K), tiles.dtype)
    for row in range(rows):
        for group in range(0, columns, GROUP):
            here = min(GROUP, columns - group)
            begin, count = (first + row * columns + group) * K, here * K
            end = begin + count
            for j in range(8):
                p = order[j]
                s0, s1 = planes[8 * order[0] + p, begin:end], planes[8 * order[1] + p, begin:end]
                s2, s3 = planes[8 * order[2] + p, begin:end], planes[8 * order[3] + p, begin:end]
                s4, s5 = planes[8 * order[4] + p, begin:end], planes[8 * order[5] + p, begin:end]
                s6, s7 = planes[8 * order[6] + p, begin:end], planes[8 * order[7] + p, begin:end]
                t0, t1, t2, t3, t4, t5 = t[0, j], t[1, j], t[2, j], t[3, j], t[4, j], t[5, j]
                for c in range(count):
                    v = _At6(k, s0[c], s1[c], s2[c], s3[c], s4[c], s5[c], s6[c], s7[c])
                    t0[c], t1[c], t2[c] = v[0], v[1], v[2]
                    t3[c], t4[c], t5[c] = v[3], v[4], v[5]
            for column in range(here):
                x, at, to = 6 * (group + column), column * K, (column + 1) * K
                for i in range(6):
                    y = 6 * row + i
                    s0, s1, s2, s3 = t[i, 0, at:to], t[i, 1, at:to], t[i, 2, at:to], t[i, 3, at:to]
                    s4, s5, s6, s7 = t[i, 4, at:to], t[i, 5, at:to], t[i, 6, at:to], t[i, 7, at:to]
                    o0, o1, o2 = tiles[y, x], tiles[y, x + 1], tiles[y, x + 2]
                    o3, o4, o5 = tiles[y, x + 3], tiles[y, x + 4], tiles[y, x + 5]
                    for c in range(K):
                        v = _At6(k, s0[c], s1[c], s2[c], s3[c], s4[c], s5[c], s6[c], s7[c])
                        o0[c], o1[c], o2[c] = v[0], v[1], v[2]
                        o3[c], o4[c], o5[c] = v[3], v[4], v[5]


@inlined
def _Bt4(k: Any, d0: Any, d1: Any, d2: Any, d3: Any, d4: Any, d5: Any) -> tuple[Any, ...]:
    """Bᵀ d."""
    a, b, e, f = d4 - k(4) * d2, d3 - k(4) * d1, d4 - d2, k(2) * (d3 - d1)
    return k(4) * d0 - k(5) * d2 + d4, a + b, a - b, e + f, e - f, k(4) * d1 - k(5) * d3 + d5


@inlined
def _At4(k: Any, m0: Any, m1: Any, m2: Any, m3: Any, m4: Any, m5: Any) -> tuple[Any, ...]:
    """Aᵀ m."""
    s, d, p, q = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return m0 + s + p, d + k(2) * q, s + k(4) * p, d + k(8) * q + m5


@compiled
def transform_input_4(
    padded: np.ndarray, order: np.ndarray, rows: int, columns: int, V: np.ndarray, first: int
) -> None:
    """As `transform_input_6`, for patches of 6×6: `padded` (4 rows + 2, 4 columns + 2, C), V (36, tiles, C)."""
    k = padded.dtype.type
    C = padded.shape[2]
    lines = padded.reshape(padded.shape[0], -1)
    t = np.empty((6, (4 * GROUP + 2) * C), padded.dtype)
    t0, t1, t2, t3, t4, t5 = t[0], t[1], t[2], t[3], t[4], t[5]
    for row in range(rows):
        for group in range(0, columns, GROUP):
            here = min(GROUP, columns - group)
            begin, count, y = 4 * group * C, (4 * here + 2) * C, 4 * row
            s0, s1, s2 = (
                lines[y, begin : begin + count],
                lines[y + 1, begin : begin + count],
                lines[y + 2, begin : begin + count],
            )
            s3, s4, s5 = (
                lines[y + 3, begin : begin + count],
                lines[y + 4, begin : begin + count],
                lines[y + 5, begin : begin + count],
            )
            for c in range(count):
                v = _Bt4(k, s0[c], s1[c], s2[c], s3[c], s4[c], s5[c])
                t0[c], t1[c], t2[c] = v[0], v[1], v[2]
                t3[c], t4[c], t5[c] = v[3], v[4], v[5]
            for column in range(here):
                tile = first + row * columns + group + column
                for i in range(6):
                    p, at = 6 * order[i], 4 * column * C
                    s0, s1, s2 = t[i, at : at + C], t[i, at + C : at + 2 * C], t[i, at + 2 * C : at + 3 * C]
                    s3, s4, s5 = (
                        t[i, at + 3 * C : at + 4 * C],
                        t[i, at + 4 * C : at + 5 * C],
                        t[i, at + 5 * C : at + 6 * C],
                    )
                    v0, v1, v2 = V[p + order[0], tile], V[p + order[1], tile], V[p + order[2], tile]
                    v3, v4, v5 = V[p + order[3], tile], V[p + order[4], tile], V[p + order[5], tile]
                    for c in range(C):
                        v = _Bt4(k, s0[c], s1[c], s2[c], s3[c], s4[c], s5[c])
                        v0[c], v1[c], v2[c] = v[0], v[1], v[2]
                        v3[c], v4[c], v5[c] = v[3], v[4], v[5]


@compiled
def transform_output_4(
    M: np.ndarray, first: int, order: np.ndarray, rows: int, columns: int, tiles: np.ndarray
) -> None:
    """As `transform_output_6`: M (36, tiles, K), `tiles` (4 rows, 4 columns, K)."""
    k = tiles.dtype.type
    K = tiles.shape[2]
    planes = M.reshape(M.shape[0], -1)
    t = np.empty((4, 6, GROUP * K), tiles.dtype)
    for row in range(rows):
        for group in range(0, columns, GROUP):
            here = min(GROUP, columns - group)
            begin, count = (first + row * columns + group) * K, here * K
            end = begin + count
            for j in range(6):
                p = order[j]
                s0, s1, s2 = (
                    planes[6 * order[0] + p, begin:end],
                    planes[6 * order[1] + p, begin:end],
                    planes[6 * order[2] + p, begin:end],
                )
                s3, s4, s5 = (
                    planes[6 * order[3] + p, begin:end],
                    planes[6 * order[4] + p, begin:end],
                    planes[6 * order[5] + p, begin:end],
                )
                t0, t1, t2, t3 = t[0, j], t[1, j], t[2, j], t[3, j]
                for c in range(count):
                    v = _At4(k, s0[c], s1[c], s2[c], s3[c], s4[c], s5[c])
                    t0[c], t1[c] = v[0], v[1]
                    t2[c], t3[c] = v[2], v[3]
            for column in range(here):
                x, at, to = 4 * (group + column), column * K, (column + 1) * K
                for i in range(4):
                    y = 4 * row + i
                    s0, s1, s2 = t[i, 0, at:to], t[i, 1, at:to], t[i, 2, at:to]
                    s3, s4, s5 = t[i, 3, at:to], t[i, 4, at:to], t[i, 5, at:to]
                    o0, o1 = tiles[y, x], tiles[y, x + 1]
                    o2, o3 = tiles[y, x + 2], tiles[y, x + 3]
                    for c in range(K):
                        v = _At4(k, s0[c], s1[c], s2[c], s3[c], s4[c], s5[c])
                        o0[c], o1[c] = v[0], v[1]
                        o2[c], o3[c] = v[2], v[3]


TRANSFORMS = {4: (transform_input_4, transform_output_4), 6: (transform_input_6, transform_output_6)}
