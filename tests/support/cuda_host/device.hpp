// What a CUDA kernel needs, for the host's C++ compiler: the same source, run block by block.
//
// A block's threads are fibres that take turns: each runs to the next __syncthreads() and then
// yields, so that a block means here what it means on a device. A thread that ends while others
// wait at a barrier, undefined behaviour on a device, ends the process. A block of one thread needs
// no fibres.

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define __global__
#define __device__
#define __forceinline__ static inline
#define __restrict__ __restrict
#define __shared__ static  // blocks run one after the other
#define __launch_bounds__(threads)

struct Triple { unsigned x, y, z; };
static Triple threadIdx, blockIdx, blockDim, gridDim;

static inline int64_t __double_as_longlong(double a) { int64_t b; memcpy(&b, &a, 8); return b; }
static inline double __longlong_as_double(int64_t a) { double b; memcpy(&b, &a, 8); return b; }

namespace fibres {

const int MOST = 64, STACK = 1 << 18;
ucontext_t scheduler, threads[MOST];
char stacks[MOST][STACK];
bool ended[MOST];
int present;
void (*body)(void**);
void** arguments;

void run() {
    body(arguments);
    ended[present] = true;
}

void block(int count) {
    for (present = 0; present < count; ++present) {
        getcontext(&threads[present]);
        threads[present].uc_stack.ss_sp = stacks[present];
        threads[present].uc_stack.ss_size = STACK;
        threads[present].uc_link = &scheduler;
        makecontext(&threads[present], run, 0);
        ended[present] = false;
    }
    for (int running = count; running;) {
        for (present = 0; present < count; ++present) {
            threadIdx = {present % blockDim.x, present / blockDim.x, 0};
            swapcontext(&scheduler, &threads[present]);
            running -= ended[present];
        }
        if (running != 0 && running != count) {
            fprintf(stderr, "a thread ended while others wait at a barrier\n");
            abort();
        }
    }
}

}  // namespace fibres

static inline void __syncthreads() {
    if (blockDim.x * blockDim.y > 1)
        swapcontext(&fibres::threads[fibres::present], &fibres::scheduler);
}

// A kernel with its arguments given as cuLaunchKernel takes them: by their addresses.
template <int... K> struct Places {};
template <int N, int... K> struct UpTo : UpTo<N - 1, N - 1, K...> {};
template <int... K> struct UpTo<0, K...> { typedef Places<K...> type; };

template <class... A, int... K>
void call(void (*kernel)(A...), void** arguments, Places<K...>) {
    kernel(*(A*)arguments[K]...);
}

template <class... A>
void call(void (*kernel)(A...), void** arguments) {
    call(kernel, arguments, typename UpTo<sizeof...(A)>::type());
}

// NAME_launch(sizes of grid and block, addresses of the arguments): every block in turn.
#define EXPORT(NAME)                                                                       \
    static void NAME##_thread(void** arguments) { call(NAME, arguments); }                 \
    extern "C" void NAME##_launch(const unsigned* grid, const unsigned* block, void** arguments) { \
        gridDim = {grid[0], grid[1], grid[2]};                                             \
        blockDim = {block[0], block[1], block[2]};                                         \
        fibres::body = NAME##_thread;                                                      \
        fibres::arguments = arguments;                                                     \
        for (unsigned z = 0; z < grid[2]; ++z)                                             \
            for (unsigned y = 0; y < grid[1]; ++y)                                         \
                for (unsigned x = 0; x < grid[0]; ++x) {                                   \
                    blockIdx = {x, y, z};                                                  \
                    threadIdx = {0, 0, 0};                                                 \
                    if (blockDim.x * blockDim.y == 1)                                      \
                        NAME##_thread(arguments);                                          \
                    else                                                                   \
                        fibres::block(blockDim.x * blockDim.y);                            \
                }                                                                          \
    }
