// wgmma: a warpgroup multiplies 64 rows of A by N rows of B (both K-major in shared memory, 128-byte swizzle), 32 deep.
// Thread t of the warpgroup holds, for each 8 columns j, d[4j..4j+1] = row r, columns 8j + 2(t%4) + {0,1} and
// d[4j+2..4j+3] = the same columns of row r + 8, where r = 16 (t/32) + (t%32)/4.
#pragma once
#include <cstdint>

namespace railcast::kernels {

/// Shared-memory operand: rows of 128 bytes, 8-row groups 1024 bytes apart, 128-byte swizzle. Its low word holds the
/// address (32 bytes further along K add 2 to it), the rest is the same for all.
__device__ inline std::uint32_t operand_word(std::uint32_t address) {
  constexpr std::uint32_t kUnused = 1U << 16;
  return kUnused | ((address & 0x3ffff) >> 4);
}
__device__ inline std::uint64_t operand(std::uint32_t word) {
  constexpr std::uint64_t kSwizzle128 = 1ULL << 62, kGroupStride = 64ULL << 32;
  return kSwizzle128 | kGroupStride | word;
}

__device__ inline void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int kPending>
__device__ inline void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
/// Keeps the compiler from moving accesses of the accumulators across an asynchronous wgmma.
template <int kCount>
__device__ inline void pin(float (&d)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

/// d = a b^T (+ d if `add`)
template <int kColumns>
struct Wgmma;

#define RAILCAST_REGISTERS10(t) \
  "%" #t "0, %" #t "1, %" #t "2, %" #t "3, %" #t "4, %" #t "5, %" #t "6, %" #t "7, %" #t "8, %" #t "9, "
#define RAILCAST_OUTPUTS10(t)                                                                              \
  "+f"(d[t##0]), "+f"(d[t##1]), "+f"(d[t##2]), "+f"(d[t##3]), "+f"(d[t##4]), "+f"(d[t##5]), "+f"(d[t##6]), \
      "+f"(d[t##7]), "+f"(d[t##8]), "+f"(d[t##9])
#define RAILCAST_OUTPUTS4(t) "+f"(d[t##0]), "+f"(d[t##1]), "+f"(d[t##2]), "+f"(d[t##3])

// `registers`: the accumulators' names; A, B, ADD: the numbers of the operands behind them.
#define RAILCAST_WGMMA(N, registers, A, B, ADD, ...)                                                         \
  template <>                                                                                                \
  struct Wgmma<N> {                                                                                          \
    __device__ static void step(float (&d)[N / 2], std::uint64_t a, std::uint64_t b, int add) {              \
      asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #ADD                                                 \
                   ", 0;\n"                                                                                  \
                   "wgmma.mma_async.sync.aligned.m64n" #N "k32.f32.e4m3.e4m3 {" registers "}, %" #A ", %" #B \
                   ", p, 1, 1;\n}"                                                                           \
                   : __VA_ARGS__                                                                             \
                   : "l"(a), "l"(b), "r"(add));                                                              \
    }                                                                                                        \
  };

#define RAILCAST_R50 \
  RAILCAST_REGISTERS10() RAILCAST_REGISTERS10(1) RAILCAST_REGISTERS10(2) RAILCAST_REGISTERS10(3) RAILCAST_REGISTERS10(4)
#define RAILCAST_O50 \
  RAILCAST_OUTPUTS10(), RAILCAST_OUTPUTS10(1), RAILCAST_OUTPUTS10(2), RAILCAST_OUTPUTS10(3), RAILCAST_OUTPUTS10(4)

RAILCAST_WGMMA(32, RAILCAST_REGISTERS10() "%10, %11, %12, %13, %14, %15", 16, 17, 18, RAILCAST_OUTPUTS10(),
               RAILCAST_OUTPUTS4(1), "+f"(d[14]), "+f"(d[15]))
RAILCAST_WGMMA(64, RAILCAST_REGISTERS10() RAILCAST_REGISTERS10(1) RAILCAST_REGISTERS10(2) "%30, %31", 32, 33, 34,
               RAILCAST_OUTPUTS10(), RAILCAST_OUTPUTS10(1), RAILCAST_OUTPUTS10(2), "+f"(d[30]), "+f"(d[31]))
RAILCAST_WGMMA(128, RAILCAST_R50 RAILCAST_REGISTERS10(5) "%60, %61, %62, %63", 64, 65, 66, RAILCAST_O50,
               RAILCAST_OUTPUTS10(5), RAILCAST_OUTPUTS4(6))
RAILCAST_WGMMA(160,
               RAILCAST_R50 RAILCAST_REGISTERS10(5)
                   RAILCAST_REGISTERS10(6) "%70, %71, %72, %73, %74, %75, %76, %77, %78, %79",
               80, 81, 82, RAILCAST_O50, RAILCAST_OUTPUTS10(5), RAILCAST_OUTPUTS10(6), RAILCAST_OUTPUTS10(7))
RAILCAST_WGMMA(192,
               RAILCAST_R50 RAILCAST_REGISTERS10(5) RAILCAST_REGISTERS10(6) RAILCAST_REGISTERS10(7)
                   RAILCAST_REGISTERS10(8) "%90, %91, %92, %93, %94, %95",
               96, 97, 98, RAILCAST_O50, RAILCAST_OUTPUTS10(5), RAILCAST_OUTPUTS10(6), RAILCAST_OUTPUTS10(7),
               RAILCAST_OUTPUTS10(8), RAILCAST_OUTPUTS4(9), "+f"(d[94]), "+f"(d[95]))

#undef RAILCAST_O50
#undef RAILCAST_R50
#undef RAILCAST_WGMMA
#undef RAILCAST_OUTPUTS4
#undef RAILCAST_OUTPUTS10
#undef RAILCAST_REGISTERS10

}  // namespace railcast::kernels
