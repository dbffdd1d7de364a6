// A job of an exchange: one communication pattern over a run of GPUs, as flows and, where it is symmetric, as one op.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/collective_flows.hpp"
#include "model/cost.hpp"

namespace railcast {

enum class Pattern : std::uint8_t { all_to_all, all_to_all_v, all_gather, reduce_scatter, all_reduce, ring, send_recv };
enum class Algorithm : std::uint8_t { ring, tree };  ///< of all_reduce
/// bare: messages at the ports' peaks. nccl: at the rates and after the waits of NCCL on this machine.
enum class Library : std::uint8_t { bare, nccl };

struct Job {
  std::string name;
  Pattern pattern = Pattern::all_to_all;
  Algorithm algorithm = Algorithm::ring;
  Library library = Library::bare;
  std::int64_t first_gpu = 0, gpus = 0;
  /// all_to_all: per ordered pair; all_to_all_v: per unit of `counts`; ring, send_recv: per message; collectives: the
  /// full vector, as nccl-tests counts.
  double bytes = 0;
  double sigma = 0;  ///< all_to_all: spread of ln(bytes); 0: all equal
  std::int64_t seed = 0;
  std::vector<std::vector<double>> counts;                   ///< all_to_all_v: [sender][receiver]
  std::vector<std::pair<std::int64_t, std::int64_t>> pairs;  ///< send_recv: from, to, within the run
};

/// The machine that the job sees: with bare messages the peaks, and no library's waits.
Machine as_seen(const Machine& m, Library library);

/// The job as one op on every member's ports; nothing where members differ (sigma, counts, pairs).
std::optional<Cost> as_one_op(const Job& j, const Machine& m);

/// The job's messages. With nccl a message is longer by what its port's peak is above the rate reached, so that it
/// takes as long. Throws std::invalid_argument where the pattern does not fit the GPUs.
std::vector<Message> messages_of(const Job& j, const Machine& m);

/// When the job ends, whose messages begin at `first` in `e` (delivered over `f`): its last byte, after the waits of a
/// collective's steps or of each message.
Time end_of(const Job& j, const Machine& m, const Fabric& f, const Exchange& e, const std::vector<Message>& all,
            std::size_t first, std::size_t last);

}  // namespace railcast
