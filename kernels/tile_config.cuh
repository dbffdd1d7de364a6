// A compiled tile, and where a thread stands in it.
#pragma once
#include <cstdint>
#include <numeric>

#include "kernels/schedule.cuh"

namespace railcast::kernels {

constexpr int kStep = 128;            ///< depth of one pipeline stage: one scale block
constexpr int kBand = 64;             ///< rows of one wgmma
constexpr int kSharedLimit = 232448;  ///< bytes of shared memory a CTA may have

/// A compiled tile. kTokens: both operands carry 1x128 scales and D is FP32, added to (wgrad). kOnce: for dense
/// problems of no more tiles than CTAs; nothing comes after a tile, so D needs no memory of its own and the ring gets
/// it.
template <int kRows_, int kColumns_, bool kTokens_, bool kOnce_ = false>
struct TileConfig {
  static constexpr int kRows = kRows_, kColumns = kColumns_;
  static constexpr bool kTokens = kTokens_, kOnce = kOnce_;
  static constexpr int kGroups = kRows == 192 ? 3 : kRows >= 128 ? 2 : 1;  // consumer warpgroups
  static constexpr int kBands = kRows / kBand / kGroups;
  static constexpr int kBoxes = kRows >= 128 ? 2 : 1, kBoxRows = kRows / kBoxes;  // TMA loads of A per stage
  static constexpr int kThreads = (kGroups + 1) * 128;
  static constexpr int kABytes = kRows * kStep, kBBytes = kColumns * kStep;
  static constexpr int kScaleBytes = kRows * 4 + (kTokens ? kColumns * 4 : 0);
  static constexpr int kStageBytes = kABytes + kBBytes + kScaleBytes;
  static constexpr int kList = kTokens || kOnce ? 1 : kRowTiles;  // row tiles of grouped walks
  static constexpr int kOther = 1024 + 320;                       // alignment, barriers
  // D leaves through shared memory of its own, where there is room
  static constexpr bool kStaged = !kOnce && kColumns % 64 == 0;
  static constexpr int kStagedBands = kTokens ? 1 : kBands;  // of a warpgroup at a time
  static constexpr int kDBandBytes = kBand * kColumns * (kTokens ? 4 : 2);
  static constexpr int kDBytes = kStaged ? kGroups * kStagedBands * kDBandBytes : 0;
  static constexpr int kFit = (kSharedLimit - kOther - kDBytes - kList * 4 - 64) / kStageBytes;
  static constexpr int kStages = kFit < 16 ? kFit : 16;
  static constexpr int kShared = kStages * kStageBytes + kDBytes + kOther;  // dynamic
  // Registers of a consumer's and of the other threads where the warpgroups share them out anew (65536 an SM)
  static constexpr int kConsumerRegisters = kGroups == 3 ? 160 : 240, kOtherRegisters = kGroups == 3 ? 32 : 24;
  // Two products at once, where registers have room for them beside the sums
  static constexpr bool kAhead = !kTokens && kBands == 1 && kGroups < 3 && kColumns <= (kGroups == 1 ? 64 : 128);
  // 128x128 scale blocks that a tile may touch in n, and where (in 8 columns) the second may begin
  static constexpr int kWeightScales = 128 % kColumns == 0 ? 1 : 2;
  static constexpr int kEdgeStep = std::gcd(kColumns, 128) / 8;
  static_assert(kColumns % 32 == 0 && kColumns <= 192);
};

/// What a consumer thread knows of itself. row: its first row within a band.
struct Lane {
  int group, warp, lane, row;
  __device__ Lane()
      : group(__shfl_sync(~0U, static_cast<int>(threadIdx.x / 128), 0)),
        warp(__shfl_sync(~0U, static_cast<int>(threadIdx.x / 32 % 4), 0)),
        lane(static_cast<int>(threadIdx.x % 32)),
        row(warp * 16 + lane / 4) {}
};

}  // namespace railcast::kernels
