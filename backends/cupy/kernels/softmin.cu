// softmin: out_i = -eps log sum_j exp((h_j - C_ij) / eps), in one pass over the columns. B-25, H-8.
//
// With t_j = h_j - C_ij in cost units and k = log2(e) / eps, a thread keeps for each of its rows the
// largest t so far, `shift`, and sum_j 2^((t_j - shift) k), rescaled whenever the shift grows. The
// difference t - shift is taken before the product with k: nothing overflows, whatever the
// potentials, and the largest term is exactly 1.

// Merges a sum of terms, total 2^(shift k), into another, so that its shift is the larger of both.
__device__ __forceinline__ void merge(T shift, double total, T k, T& into_shift,
                                      double& into_total) {
    if (shift > into_shift) {
        into_total = total + into_total * power2((double)(into_shift - shift) * k);
        into_shift = shift;
    } else {
        into_total += total * power2((double)(shift - into_shift) * k);
    }
}

// shifts, totals (splits, n): those of each row, over the columns of one split (blockIdx.y).
extern "C" __global__ void __launch_bounds__(THREADS)
softmin_parts(OPERAND_ARGUMENTS, const T* __restrict__ h, T* __restrict__ shifts,
              double* __restrict__ totals) {
    const Operand C = OPERAND;
    T cost[ROWS][COLUMNS], shift[ROWS], part[ROWS];
    double total[ROWS];
    EACH_ROW { shift[r] = -LARGEST; part[r] = 0; total[r] = 0; }

    const Index first = first_tile(tiles_per_split), last = last_tile(tiles_per_split, m);
    for (Index tile = first; tile < last; ++tile) {
        tile_costs(C, tile, cost);
        T hj[COLUMNS];
        _Pragma("unroll") for (int c = 0; c < COLUMNS; ++c)
            hj[c] = at(h, column_of(tile, c), m, -infinity());
        EACH_PAIR cost[r][c] = fused(-scale, cost[r][c], hj[c]);  // t, in place of the cost
        EACH_ROW {
            T top = cost[r][0];
            _Pragma("unroll") for (int c = 1; c < COLUMNS; ++c) top = larger(top, cost[r][c]);
            if (top > shift[r]) {  // rare: about log(tiles) times
                const T factor = power2((shift[r] - top) * k);
                part[r] *= factor;
                total[r] *= factor;
                shift[r] = top;
            }
            T sum = power2((cost[r][0] - shift[r]) * k);
            _Pragma("unroll") for (int c = 1; c < COLUMNS; ++c)
                sum += power2((cost[r][c] - shift[r]) * k);
            part[r] += sum;
        }
        if ((tile - first) % TILES_IN_T == TILES_IN_T - 1 || tile == last - 1)
            EACH_ROW { total[r] += part[r]; part[r] = 0; }
    }

    __shared__ T row_shifts[THREADS_X][THREADS_Y];
    __shared__ double row_totals[THREADS_X][THREADS_Y];
    for (int r = 0; r < ROWS; ++r) {
        __syncthreads();
        row_shifts[threadIdx.x][threadIdx.y] = shift[r];
        row_totals[threadIdx.x][threadIdx.y] = total[r];
        __syncthreads();
        if (threadIdx.x == 0 && row_of(r) < n) {
            T row_shift = shift[r];
            double row_total = total[r];
            for (int t = 1; t < THREADS_X; ++t)
                merge(row_shifts[t][threadIdx.y], row_totals[t][threadIdx.y], k, row_shift,
                      row_total);
            shifts[blockIdx.y * n + row_of(r)] = row_shift;
            totals[blockIdx.y * n + row_of(r)] = row_total;
        }
    }
}

// out (n,) from the parts of all splits: -(shift + log2(total) / k). inf where every h_j is -inf.
extern "C" __global__ void __launch_bounds__(THREADS)
softmin_merge(const T* __restrict__ shifts, const double* __restrict__ totals, Index n,
              Index splits, T k, T* __restrict__ out) {
    const Index i = (Index)blockIdx.x * THREADS + thread_number();
    if (i >= n) return;
    T shift = shifts[i];
    double total = totals[i];
    for (Index s = 1; s < splits; ++s) merge(shifts[s * n + i], totals[s * n + i], k, shift, total);
    out[i] = (T)-(shift + log2(total) / k);
}
