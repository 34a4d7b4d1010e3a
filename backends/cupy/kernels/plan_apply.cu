// plan_apply: out = P @ V, P_ij = exp((F_i + G_j - C_ij) / eps), V (m, columns) row-major.
//
// A block takes VALUES columns of V (blockIdx.z says which) and its share of the columns of P.

// parts (splits, n, columns): P @ V over the columns of each split (blockIdx.y).
extern "C" __global__ void __launch_bounds__(THREADS)
plan_apply(OPERAND_ARGUMENTS, const T* __restrict__ F, const T* __restrict__ G,
           const T* __restrict__ V, Index columns, double* __restrict__ parts) {
    const Operand C = OPERAND;
    const Index v0 = (Index)blockIdx.z * VALUES;
    T P[ROWS][COLUMNS], Fi[ROWS], part[VALUES][ROWS];
    double total[VALUES][ROWS];
    EACH_ROW Fi[r] = at(F, row_of(r), n, -infinity());
    _Pragma("unroll") for (int v = 0; v < VALUES; ++v)
        EACH_ROW { part[v][r] = 0; total[v][r] = 0; }

    const Index first = first_tile(tiles_per_split), last = last_tile(tiles_per_split, m);
    for (Index tile = first; tile < last; ++tile) {
        tile_costs(C, tile, P);
        _Pragma("unroll") for (int c = 0; c < COLUMNS; ++c) {
            const Index j = column_of(tile, c);
            const T Gj = at(G, j, m, -infinity());
            EACH_ROW P[r][c] = entry(Fi[r], Gj, scale, P[r][c], k);
            _Pragma("unroll") for (int v = 0; v < VALUES; ++v) {
                const bool inside = j < m && v0 + v < columns;
                const T Vj = inside ? V[j * columns + v0 + v] : (T)0;
                EACH_ROW part[v][r] = fused(P[r][c], Vj, part[v][r]);
            }
        }
        if ((tile - first) % TILES_IN_T == TILES_IN_T - 1 || tile == last - 1)
            _Pragma("unroll") for (int v = 0; v < VALUES; ++v)
                EACH_ROW { total[v][r] += part[v][r]; part[v][r] = 0; }
    }
    for (int v = 0; v < VALUES && v0 + v < columns; ++v)
        sum_rows(total[v], n, columns, parts + blockIdx.y * n * columns + v0 + v);
}
