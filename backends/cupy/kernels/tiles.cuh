// A tile of costs: what a block of THREADS_X by THREADS_Y threads works on at a time, and how the
// threads add up their sums along the rows.
//
// A thread holds ROWS by COLUMNS costs in registers: those of the rows r THREADS_Y + threadIdx.y and
// the columns c THREADS_X + threadIdx.x. So each coordinate that it reads from shared memory serves
// ROWS or COLUMNS pairs, and neighbouring threads read neighbouring columns. Points go through shared
// memory DEPTH coordinates at a time, so that any dimension d fits. Costs are computed from the
// differences x - y, as in refot.costs: no cancellation. A matrix goes through shared memory too, and
// is read along its contiguous axis, whichever that is.
//
// COST is one of the kinds below. DIMENSION is d where d <= 4, so that loops over it are unrolled;
// else it is 0. THREADS_X = THREADS_Y = 1 is allowed: the tests use blocks of one thread too.

#define SQEUCLIDEAN 1
#define EUCLIDEAN 2
#define L1 3
#define DOT 4
#define MATRIX 5

#define TILE_ROWS (ROWS * THREADS_Y)
#define TILE_COLUMNS (COLUMNS * THREADS_X)
#define THREADS (THREADS_X * THREADS_Y)
#define DEPTH (DIMENSION ? DIMENSION : 16)

// Sums run in T over this many tiles (COLUMNS terms each), then in double.
#define TILES_IN_T 16

#define EACH_PAIR                      \
    _Pragma("unroll")                  \
    for (int r = 0; r < ROWS; ++r)     \
        _Pragma("unroll")              \
        for (int c = 0; c < COLUMNS; ++c)

#define EACH_ROW _Pragma("unroll") for (int r = 0; r < ROWS; ++r)

// The costs scale * c(x_i, y_j) between x (n, d) and y (m, d), row-major; or, for COST == MATRIX,
// scale * x_ij with x (n, m) of any two strides. Every kernel takes these arguments first.
#define OPERAND_ARGUMENTS                                                                  \
    const T* __restrict__ x, const T* __restrict__ y, Index n, Index m, Index d, Index row_stride, \
    Index column_stride, T scale, T k, Index tiles_per_split
#define OPERAND {x, y, n, m, d, row_stride, column_stride}

struct Operand {
    const T* x;
    const T* y;
    Index n, m, d, row_stride, column_stride;
};

__device__ __forceinline__ int thread_number() { return threadIdx.y * THREADS_X + threadIdx.x; }

__device__ __forceinline__ Index row_of(int r) {
    return (Index)blockIdx.x * TILE_ROWS + r * THREADS_Y + threadIdx.y;
}

__device__ __forceinline__ Index column_of(Index tile, int c) {
    return tile * TILE_COLUMNS + c * THREADS_X + threadIdx.x;
}

// The tiles of columns that belong to this block: blockIdx.y says which share of them.
__device__ __forceinline__ Index first_tile(Index tiles_per_split) {
    return blockIdx.y * tiles_per_split;
}

__device__ __forceinline__ Index last_tile(Index tiles_per_split, Index m) {
    const Index end = (blockIdx.y + 1) * tiles_per_split;
    const Index tiles = (m + TILE_COLUMNS - 1) / TILE_COLUMNS;
    return end < tiles ? end : tiles;
}

// vector[i], and `beyond` past its end.
__device__ __forceinline__ T at(const T* __restrict__ vector, Index i, Index size, T beyond) {
    return i < size ? vector[i] : beyond;
}

#if COST == MATRIX

// cost[r][c] = x_ij. Padding is 0.
__device__ __forceinline__ void tile_costs(const Operand& C, Index tile, T cost[ROWS][COLUMNS]) {
    __shared__ T entries[TILE_ROWS][TILE_COLUMNS + 1];
    const Index i0 = (Index)blockIdx.x * TILE_ROWS, j0 = tile * TILE_COLUMNS;
    const bool row_major = C.column_stride == 1;
    __syncthreads();  // the tile before has been read
    for (int e = thread_number(); e < TILE_ROWS * TILE_COLUMNS; e += THREADS) {
        const int i = row_major ? e / TILE_COLUMNS : e % TILE_ROWS;
        const int j = row_major ? e % TILE_COLUMNS : e / TILE_ROWS;
        const bool inside = i0 + i < C.n && j0 + j < C.m;
        entries[i][j] =
            inside ? C.x[(i0 + i) * C.row_stride + (j0 + j) * C.column_stride] : (T)0;
    }
    __syncthreads();
    EACH_PAIR cost[r][c] = entries[r * THREADS_Y + threadIdx.y][c * THREADS_X + threadIdx.x];
}

#else

// c(x, y) is a sum over coordinates: adds that of one coordinate to `cost`, the sum so far.
__device__ __forceinline__ T with_coordinate(T cost, T x, T y) {
#if COST == L1
    return cost + magnitude(x - y);
#elif COST == DOT
    return fused(-x, y, cost);
#else
    const T difference = x - y;
    return fused(difference, difference, cost);
#endif
}

// into[k][point] = coordinate k0 + k of COUNT points from `first` on, k < DEPTH. Padding is 0.
template <int COUNT>
__device__ __forceinline__ void load_points(const T* __restrict__ points, Index first, Index size,
                                            Index d, Index k0, T into[DEPTH][COUNT + 1]) {
    for (int e = thread_number(); e < COUNT * DEPTH; e += THREADS) {
        const int point = e / DEPTH, k = e % DEPTH;  // neighbours read neighbouring numbers
        const bool inside = first + point < size && k0 + k < d;
        into[k][point] = inside ? points[(first + point) * d + k0 + k] : (T)0;
    }
}

// cost[r][c] = c(x_i, y_j).
__device__ __forceinline__ void tile_costs(const Operand& C, Index tile, T cost[ROWS][COLUMNS]) {
    __shared__ T xs[DEPTH][TILE_ROWS + 1], ys[DEPTH][TILE_COLUMNS + 1];
    EACH_PAIR cost[r][c] = 0;
    for (Index k0 = 0; k0 < C.d; k0 += DEPTH) {
        __syncthreads();  // the coordinates before have been read
        load_points<TILE_ROWS>(C.x, (Index)blockIdx.x * TILE_ROWS, C.n, C.d, k0, xs);
        load_points<TILE_COLUMNS>(C.y, tile * TILE_COLUMNS, C.m, C.d, k0, ys);
        __syncthreads();
        _Pragma("unroll") for (int k = 0; k < DEPTH; ++k) {
            T xk[ROWS], yk[COLUMNS];
            EACH_ROW xk[r] = xs[k][r * THREADS_Y + threadIdx.y];
            _Pragma("unroll") for (int c = 0; c < COLUMNS; ++c)
                yk[c] = ys[k][c * THREADS_X + threadIdx.x];
            EACH_PAIR cost[r][c] = with_coordinate(cost[r][c], xk[r], yk[c]);
        }
    }
#if COST == EUCLIDEAN
    EACH_PAIR cost[r][c] = root(cost[r][c]);
#endif
}

#endif

// P_ij = exp((F_i + G_j - scale c) / eps) = 2^((F_i + G_j - scale c) k), k = log2(e) / eps.
__device__ __forceinline__ T entry(T F, T G, T scale, T cost, T k) {
    return power2(fused(-scale, cost, F + G) * k);
}

// out[i stride] = the sum of the totals of all threads that share row i, always in the same order.
__device__ __forceinline__ void sum_rows(const double total[ROWS], Index n, Index stride,
                                         double* __restrict__ out) {
    __shared__ double parts[THREADS_X][THREADS_Y];
    for (int r = 0; r < ROWS; ++r) {
        __syncthreads();
        parts[threadIdx.x][threadIdx.y] = total[r];
        __syncthreads();
        if (threadIdx.x == 0 && row_of(r) < n) {
            double sum = 0;
            for (int t = 0; t < THREADS_X; ++t) sum += parts[t][threadIdx.y];
            out[row_of(r) * stride] = sum;
        }
    }
}
