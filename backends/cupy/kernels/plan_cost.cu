// plan_cost: sum_j P_ij C_ij for each row, with P_ij = exp((F_i + G_j - C_ij) / eps). Where P_ij is 0
// the term is 0, even if C_ij is infinite (a forbidden pair).

// parts (splits, n): the sums over the columns of each split (blockIdx.y).
extern "C" __global__ void __launch_bounds__(THREADS)
plan_cost(OPERAND_ARGUMENTS, const T* __restrict__ F, const T* __restrict__ G,
          double* __restrict__ parts) {
    const Operand C = OPERAND;
    T cost[ROWS][COLUMNS], Fi[ROWS], part[ROWS];
    double total[ROWS];
    EACH_ROW { Fi[r] = at(F, row_of(r), n, -infinity()); part[r] = 0; total[r] = 0; }

    const Index first = first_tile(tiles_per_split), last = last_tile(tiles_per_split, m);
    for (Index tile = first; tile < last; ++tile) {
        tile_costs(C, tile, cost);
        _Pragma("unroll") for (int c = 0; c < COLUMNS; ++c) {
            const T Gj = at(G, column_of(tile, c), m, -infinity());
            EACH_ROW {
                const T P = entry(Fi[r], Gj, scale, cost[r][c], k);
                part[r] = fused(P, P > 0 ? scale * cost[r][c] : (T)0, part[r]);
            }
        }
        if ((tile - first) % TILES_IN_T == TILES_IN_T - 1 || tile == last - 1)
            EACH_ROW { total[r] += part[r]; part[r] = 0; }
    }
    sum_rows(total, n, 1, parts + blockIdx.y * n);
}
