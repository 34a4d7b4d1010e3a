// plan_cost_gradient: sum_j P_ij d1 c(x_i, y_j), (n, d), without the scale of the cost, for points.
//
// Coordinate k of d1 c is weight(c) slope(x_k, y_k); a block takes VALUES coordinates (blockIdx.z).

// The factor of d1 c that is the same for all coordinates; 0 (a subgradient) where x = y.
__device__ __forceinline__ T weight(T cost) {
#if COST == SQEUCLIDEAN
    return 2;
#elif COST == EUCLIDEAN
    return cost > 0 ? 1 / cost : (T)0;
#else
    return 1;
#endif
}

__device__ __forceinline__ T slope(T x, T y) {
#if COST == L1
    return (T)((x > y) - (x < y));
#elif COST == DOT
    return -y;
#else
    return x - y;
#endif
}

// parts (splits, n, d): the sums over the columns of each split (blockIdx.y).
extern "C" __global__ void __launch_bounds__(THREADS)
plan_cost_gradient(OPERAND_ARGUMENTS, const T* __restrict__ F, const T* __restrict__ G,
                   double* __restrict__ parts) {
    const Operand C = OPERAND;
    const Index v0 = (Index)blockIdx.z * VALUES;
    T W[ROWS][COLUMNS], Fi[ROWS], xi[VALUES][ROWS], part[VALUES][ROWS];
    double total[VALUES][ROWS];
    EACH_ROW Fi[r] = at(F, row_of(r), n, -infinity());
    _Pragma("unroll") for (int v = 0; v < VALUES; ++v)
        EACH_ROW {
            xi[v][r] = row_of(r) < n && v0 + v < d ? x[row_of(r) * d + v0 + v] : (T)0;
            part[v][r] = 0;
            total[v][r] = 0;
        }

    const Index first = first_tile(tiles_per_split), last = last_tile(tiles_per_split, m);
    for (Index tile = first; tile < last; ++tile) {
        tile_costs(C, tile, W);
        _Pragma("unroll") for (int c = 0; c < COLUMNS; ++c) {
            const Index j = column_of(tile, c);
            const T Gj = at(G, j, m, -infinity());
            EACH_ROW W[r][c] = weight(W[r][c]) * entry(Fi[r], Gj, scale, W[r][c], k);
            _Pragma("unroll") for (int v = 0; v < VALUES; ++v) {
                const T yj = j < m && v0 + v < d ? y[j * d + v0 + v] : (T)0;
                EACH_ROW part[v][r] = fused(W[r][c], slope(xi[v][r], yj), part[v][r]);
            }
        }
        if ((tile - first) % TILES_IN_T == TILES_IN_T - 1 || tile == last - 1)
            _Pragma("unroll") for (int v = 0; v < VALUES; ++v)
                EACH_ROW { total[v][r] += part[v][r]; part[v][r] = 0; }
    }
    for (int v = 0; v < VALUES && v0 + v < d; ++v)
        sum_rows(total[v], n, d, parts + blockIdx.y * n * d + v0 + v);
}
