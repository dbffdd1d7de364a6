// The constants of the dispatch and combine kernels, fitted to published measurements, and how well they foretell a
// figure that was left out.
#pragma once
#include <string>
#include <vector>

#include "model/low_latency.hpp"

namespace railcast {

/// A published dispatch or combine.
struct PublishedExchange {
  std::string id, source, machine;
  Dispatch shape;  ///< dtype: what travels
  bool combine = false, low_latency = false, nvlink = true, zero_copy = false;
  std::int64_t sms = 0;
  double value = 0;  ///< bytes/s, logical; or seconds
  bool is_rate = false;
  bool for_fit = false;  ///< of the fit set; the others are held out
};

/// Bytes that DeepEP's tests divide by the time: rows per distinct node (within one node: per distinct GPU), the own
/// one included; in low-latency mode a message per selection.
double logical_bytes(const PublishedExchange& p, std::int64_t gpus_per_node);

/// The time in seconds that the model gives, with DeepEP's test router and default chunks.
double predicted_seconds(const Machine& m, const ExchangeKernels& k, const PublishedExchange& p);
double published_seconds(const PublishedExchange& p, std::int64_t gpus_per_node);

struct FittedExchange {
  PublishedExchange row;
  double error = 0;           ///< predicted over published time, less 1
  double error_left_out = 0;  ///< the same by constants fitted to the other rows
};
struct ExchangeFit {
  ExchangeKernels kernels;
  std::vector<FittedExchange> rows;
  double median = 0, largest = 0, median_left_out = 0, largest_left_out = 0;  ///< of the errors' sizes
};

/// Least squares over the logarithms of predicted over published, by Gauss-Newton from `start`; `warp` is measured and
/// stays. All rows are of machine `m`. With leave_one_out each row is left out in turn.
ExchangeFit fit_exchange(const Machine& m, const std::vector<PublishedExchange>& rows, const ExchangeKernels& start,
                         bool leave_one_out);

}  // namespace railcast
