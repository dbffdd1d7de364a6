// Ranks that see each other's memory: what dispatch and combine share. Every rank owns a window of one layout; Peers
// says where the windows lie. That is all that differs between virtual ranks (windows in one GPU's memory), peer access
// over NVLink, and any other symmetric memory.
#pragma once
#include <cstdint>
#include <string>

#include "kernels/gemm.hpp"
#include "kernels/number.hpp"

namespace railcast::kernels {

constexpr int kMostRanks = 64;

/// What all ranks must agree on.
struct ExchangeShape {
  int ranks = 1;
  std::int64_t tokens = 0;     ///< the most that a rank sends
  std::int64_t experts = 0;    ///< of all ranks together; rank r has experts [r, r + 1) * experts / ranks
  int top_k = 1;               ///< up to 32
  std::int64_t row_bytes = 0;  ///< of a dispatched row, a multiple of 16
  std::int64_t groups = 0;     ///< scales that go with it; 0: none
  std::int64_t cols = 0;       ///< BF16 columns of a combined row, a multiple of 8; 0: no combine

  std::int64_t rows() const { return ranks * tokens; }  ///< always suffice to receive
};

/// The part of a window through which ranks wait for each other. Zeroed once, before the first layout.
struct ExchangeSync {
  int late;                                ///< 1 + the rank waited for in vain; 0: none. First in every window
  int claimed;                             ///< the owner's, of a dispatch that runs: tokens taken by free warps
  unsigned long long epoch;                ///< layouts so far; the owner's
  unsigned long long counted[kMostRanks];  ///< the epoch of rank s's counts here
  unsigned long long ready[kMostRanks];    ///< the epoch of rank s's rows for combine
  unsigned long long arrived[kMostRanks];  ///< rows of rank s and their notes: twice its count when complete
  int counts[2][kMostRanks][kMostRanks];   ///< [epoch % 2][from][to]: tokens that one sends to the other
};

/// Byte offsets in a window. Row i of a rank holds the i-th token it gets, by (source rank, token). What describes a
/// row lies in a note of its own, which travels as one piece: the next row's is note_pitch further.
struct Window {
  std::int64_t sync = 0;
  std::int64_t x = 0;           ///< [rows, row_bytes]
  std::int64_t scales = 0;      ///< FP32 [groups] of a note, and its beginning
  std::int64_t weights = 0;     ///< FP32 [top_k] of a note: as sent
  std::int64_t experts = 0;     ///< int [top_k] of a note: as chosen, counted over all ranks, or -1
  std::int64_t source = 0;      ///< int [1] of a note: the token's index at its rank
  std::int64_t note_bytes = 0;  ///< that travel, a multiple of 32
  std::int64_t note_pitch = 0;  ///< a multiple of 128: no NVLink packet holds parts of two
  std::int64_t y = 0;           ///< BF16 [rows, cols]: what combine sends back
  std::int64_t y_weights = 0;   ///< FP32 [rows, top_k]: values by choice that combine sends back
  std::int64_t bytes = 0;
};
/// Throws KernelError (Fault::argument) where the shape asks for what the kernels cannot do.
Window window_of(const ExchangeShape& shape);

struct Peers {
  int first = 0, local = 1;       ///< a launch serves the ranks [first, first + local): all of them where virtual
  char* window[kMostRanks] = {};  ///< of every rank, as this GPU sees it
};

template <typename T>
RAILCAST_BOTH T* in_window(const Peers& peers, int rank, std::int64_t offset) {
  return reinterpret_cast<T*>(peers.window[rank] + offset);
}

/// Throws KernelError (Fault::launch) if one of this launch's ranks waited in vain, naming the one it waited for.
/// Synchronises with the device. The windows must then be zeroed before they are used again.
void throw_if_late(const Peers& peers, const char* kernel);

}  // namespace railcast::kernels
