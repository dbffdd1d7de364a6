// The layout of a window. No CUDA: tested on a CPU.
#include "kernels/error.hpp"
#include "kernels/exchange.hpp"
#include "kernels/low_latency.hpp"

namespace railcast::kernels {
namespace {

void require_that(bool holds, const std::string& expected) {
  if (!holds) throw KernelError(Fault::argument, "exchange: expected " + expected);
}

/// Parts one after another, each on a multiple of 256 bytes.
class Places {
 public:
  std::int64_t take(std::int64_t bytes) {
    const std::int64_t at = end_;
    end_ = (end_ + bytes + 255) / 256 * 256;
    return at;
  }
  std::int64_t end() const { return end_; }

 private:
  std::int64_t end_ = 0;
};

template <typename Shape>
void require_ranks(const Shape& s) {
  require_that(s.ranks >= 1 && s.ranks <= kMostRanks, "1 to 64 ranks, got " + std::to_string(s.ranks));
  require_that(s.tokens >= 0 && s.tokens <= 1 << 20, "0 to 1048576 tokens a rank, got " + std::to_string(s.tokens));
  require_that(s.experts > 0 && s.experts % s.ranks == 0,
               "experts a multiple of the " + std::to_string(s.ranks) + " ranks, got " + std::to_string(s.experts));
  require_that(s.top_k >= 1 && s.top_k <= 32, "top_k of 1 to 32, got " + std::to_string(s.top_k));
}

}  // namespace

LowLatencyWindow low_latency_window(const LowLatencyShape& s) {
  require_ranks(s);
  require_that(s.experts <= kMostLowLatencyExperts, "up to 1024 experts, got " + std::to_string(s.experts));
  require_that(s.cols > 0 && s.cols % 512 == 0 && s.cols <= 16384,
               "cols a multiple of 512 up to 16384, got " + std::to_string(s.cols));
  LowLatencyWindow w;
  Places places;
  places.take(static_cast<std::int64_t>(sizeof(LowLatencySync)));
  const std::int64_t rows = s.experts_each() * s.rows(), scales = rows * (s.cols / 128) * 4;
  for (int buffer = 0; buffer < 2; ++buffer) {
    w.x[buffer] = places.take(rows * s.cols), w.x_scales[buffer] = places.take(scales);
    w.scales[buffer] = places.take(scales), w.y[buffer] = places.take(rows * s.cols * 2);
  }
  w.bytes = places.end();
  return w;
}

Window window_of(const ExchangeShape& s) {
  using std::to_string;
  require_ranks(s);
  require_that(s.row_bytes > 0 && s.row_bytes % 16 == 0 && s.row_bytes <= 32768,
               "row_bytes a multiple of 16 up to 32768, got " + to_string(s.row_bytes));
  require_that(s.groups >= 0, "groups of at least 0, got " + to_string(s.groups));
  require_that(s.cols >= 0 && s.cols % 8 == 0, "cols a multiple of 8, got " + to_string(s.cols));
  Window w;
  Places places;
  w.sync = places.take(static_cast<std::int64_t>(sizeof(ExchangeSync)));
  w.x = places.take(s.rows() * s.row_bytes);
  w.note_bytes = (4 * (s.groups + 2 * s.top_k + 1) + 31) / 32 * 32;
  w.note_pitch = (w.note_bytes + 127) / 128 * 128;
  w.scales = places.take(s.rows() * w.note_pitch);
  w.weights = w.scales + 4 * s.groups, w.experts = w.weights + 4 * s.top_k, w.source = w.experts + 4 * s.top_k;
  w.y = places.take(s.rows() * s.cols * 2);
  w.y_weights = places.take(s.cols > 0 ? s.rows() * s.top_k * 4 : 0);
  w.bytes = places.end();
  return w;
}

}  // namespace railcast::kernels
