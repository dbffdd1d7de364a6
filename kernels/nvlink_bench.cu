// Dispatch and combine between GPUs of this host (--suite nvlink), beside plain peer copies on the same links and
// NCCL's collectives: exchange_peers.csv, low_latency_peers.csv, peer_copy.csv and nccl.csv. Times are the slowest
// GPU's.
#include "kernels/nvlink_bench.hpp"

#include <algorithm>
#include <cstdio>
#include <functional>

#include "kernels/copy.hpp"
#include "kernels/error.hpp"
#include "kernels/low_latency_bench.hpp"
#include "kernels/nccl.hpp"

namespace railcast::kernels::layer {
namespace {

// ---- dispatch and combine ----

struct Setting {
  int sms;
  std::int64_t chunk, back_chunk;
  const char* impl = "railcast";
};

void write_step(Bench& bench, const PeerExchange& e, const char* kernel, std::int64_t chunk, const Setting& setting,
                double row_bytes, const std::vector<double>& us) {
  const ExchangeShape& s = e.exchange.shape;
  Fields key = fields(
      {"ranks", "gpus", "tokens", "top_k", "cols", "chunk", "sms"},
      {s.ranks, static_cast<std::int64_t>(e.groups.groups().size()), s.tokens, s.top_k, s.cols, chunk, setting.sms});
  key.insert(key.begin(), {"kernel", kernel}), key.emplace_back("impl", setting.impl);
  Fields values = summary(us);
  values.emplace_back("received_gbps", rate(e.received * row_bytes, values));
  values.emplace_back("nvlink_gbps", rate(e.crossing * row_bytes, values));
  bench.write("exchange_peers", {key, values});
}

void time_exchange(Bench& bench, const PeerExchange& e, const Setting& setting) {
  constexpr int repetitions = 30;
  Steps steps(e.groups, repetitions, 3);
  for (int i = 0; i < repetitions; ++i)
    for (std::size_t g = 0; g < e.sides.size(); ++g) {
      const RankGroups::Group& group = e.groups.groups()[g];
      const OnDevice here(group.gpu);
      DispatchArgs there = e.sides[g]->args;
      CombineArgs back = e.sides[g]->back;
      there.chunk = setting.chunk, back.chunk = setting.back_chunk;
      const Launch launch{.stream = group.stream, .sms = setting.sms};
      steps.record(g, i, 0);
      dispatch_layout(there, launch);
      steps.record(g, i, 1);
      dispatch(there, launch);
      steps.record(g, i, 2);
      combine(back, launch);
      steps.record(g, i, 3);
    }
  e.groups.check("exchange");
  std::vector<double> us[3];
  for (int i = kWarm; i < repetitions; ++i)
    for (int step = 0; step < 3; ++step) us[step].push_back(steps.us(i, step, step + 1));
  const ExchangeShape& s = e.exchange.shape;
  write_step(bench, e, "layout", 0, setting, 4.0 * s.top_k, us[0]);
  write_step(bench, e, "dispatch", setting.chunk, setting, static_cast<double>(s.row_bytes + 4 * s.groups), us[1]);
  write_step(bench, e, "combine", setting.back_chunk, setting, 2.0 * static_cast<double>(s.cols), us[2]);
}

// ---- low latency ----

/// Each GPU's graph of repetitions; the GPUs wait for each other inside their kernels.
class Graphs {
 public:
  Graphs(const RankGroups& groups, const std::function<void(std::size_t)>& record) : groups_(groups) {
    for (std::size_t g = 0; g < groups.groups().size(); ++g) {
      const RankGroups::Group& group = groups.groups()[g];
      const OnDevice here(group.gpu);
      cudaGraph_t graph = nullptr;
      throw_unless(cudaStreamBeginCapture(group.stream, cudaStreamCaptureModeThreadLocal), "capturing a graph");
      record(g);
      throw_unless(cudaStreamEndCapture(group.stream, &graph), "capturing a graph");
      exec_.emplace_back();
      throw_unless(cudaGraphInstantiate(&exec_.back(), graph, 0), "instantiating a graph");
      cudaGraphDestroy(graph);
    }
  }
  ~Graphs() {
    for (cudaGraphExec_t e : exec_) cudaGraphExecDestroy(e);
  }
  Graphs(const Graphs&) = delete;
  Graphs& operator=(const Graphs&) = delete;
  void launch() const {
    for (std::size_t g = 0; g < exec_.size(); ++g) {
      const OnDevice here(groups_.groups()[g].gpu);
      throw_unless(cudaGraphLaunch(exec_[g], groups_.groups()[g].stream), "launching a graph");
    }
  }

 private:
  const RankGroups& groups_;
  std::vector<cudaGraphExec_t> exec_;
};

void time_low_latency(Bench& bench, int ranks, std::int64_t tokens, const std::vector<int>& gpus) {
  constexpr int repetitions = 20, replays = 6;
  Decode d;
  d.shape = {.ranks = ranks, .tokens = tokens, .experts = 256, .top_k = 8, .cols = 7168};
  const RankGroups groups(ranks, low_latency_window(d.shape).bytes, {gpus});
  for (int r = 0; r < ranks; ++r) {
    const OnDevice here(groups.group_of(r).gpu);  // its arrays lie there
    add_v3_rank(d, static_cast<std::uint32_t>(r));
  }
  d.args.shape = d.shape;
  groups.wait();
  Steps steps(groups, repetitions, 2);
  std::vector<LowLatencyArgs> parts;
  groups.each(d.args, [&](const LowLatencyArgs& part, const RankGroups::Group&) { parts.push_back(part); });
  const Graphs graphs(groups, [&](std::size_t g) {
    const Launch launch{.stream = groups.groups()[g].stream};
    for (int i = 0; i < repetitions; ++i) {
      parts[g].buffer = i % 2;
      steps.record(g, i, 0, cudaEventRecordExternal);
      dispatch_low_latency(parts[g], launch), dispatch_low_latency_receive(parts[g], launch);
      steps.record(g, i, 1, cudaEventRecordExternal);
      combine_low_latency(parts[g], launch), combine_low_latency_receive(parts[g], launch);
      steps.record(g, i, 2, cudaEventRecordExternal);
    }
  });
  std::vector<double> us[2];
  for (int replay = 0; replay < replays; ++replay) {
    graphs.launch();
    groups.check("low_latency");
    for (int i = kWarm; i < repetitions && replay > 0; ++i)
      for (int step = 0; step < 2; ++step) us[step].push_back(steps.us(i, step, step + 1));
  }
  for (int step = 0; step < 2; ++step) {
    Fields key = fields({"ranks", "gpus", "tokens", "top_k", "cols"},
                        {ranks, static_cast<std::int64_t>(gpus.size()), tokens, 8, 7168});
    key.insert(key.begin(), {"kernel", step == 0 ? "dispatch" : "combine"}), key.emplace_back("impl", "railcast");
    Fields values = summary(us[step]);
    const double rows = static_cast<double>(ranks * tokens * 8) / static_cast<double>(gpus.size());
    values.emplace_back("received_gbps", rate(rows * (step == 0 ? 7392 : 14336), values));
    bench.write("low_latency_peers", {key, values});
  }
}

// ---- plain copies, every GPU to (or from) its neighbour at once; by bulk stores, and as dispatch's senders do ----

constexpr std::size_t kCopied = std::size_t{32768} * kCopyRow;

void time_copies(Bench& bench, const std::vector<int>& gpus) {
  constexpr int repetitions = 25;
  const RankGroups groups(static_cast<int>(gpus.size()), static_cast<std::int64_t>(4 * kCopied), {gpus});
  const auto measure = [&](const std::string& impl, int sms, const auto& copy, double moved = kCopied) {
    Steps steps(groups, repetitions, 1);
    for (int i = 0; i < repetitions; ++i)
      for (std::size_t g = 0; g < gpus.size(); ++g) {
        const RankGroups::Group& group = groups.groups()[g];
        const OnDevice here(group.gpu);
        steps.record(g, i, 0);
        copy(group.peers.window[g], group.peers.window[(g + 1) % gpus.size()], group.stream);
        steps.record(g, i, 1);
      }
    groups.wait();
    std::vector<double> us;
    for (int i = kWarm; i < repetitions; ++i) us.push_back(steps.us(i, 0, 1));
    Fields key = fields({"gpus", "bytes", "sms"},
                        {static_cast<std::int64_t>(gpus.size()), static_cast<std::int64_t>(moved), sms});
    key.emplace_back("impl", impl);
    Fields values = summary(us);
    values.emplace_back("gbps", rate(moved, values));
    bench.write("peer_copy", {key, values});
  };
  measure("memcpy", 0, [&](char* mine, char* other, cudaStream_t s) {
    throw_unless(cudaMemcpyAsync(other + kCopied, mine, kCopied, cudaMemcpyDeviceToDevice, s), "copying to a peer");
  });
  for (const int sms : {4, 8, 12, 16, 20, 24, 32, 64, 132}) {
    measure("write", sms,
            [&](char* mine, char* other, cudaStream_t s) { copy_on(other + kCopied, mine, kCopied, sms, 2, s); });
    measure("read", sms,
            [&](char* mine, char* other, cudaStream_t s) { copy_on(mine + kCopied, other, kCopied, sms, 2, s); });
  }
  constexpr std::int64_t tokens = 16384, row = kCopyRow;  // of four ranks
  for (const int sms : {8, 12, 16, 20, 24, 32}) {
    measure("bulk_write", sms, [&](char* mine, char* other, cudaStream_t s) {
      fan_out_on({mine, other + kCopied, other + kCopied, 2 * tokens, row, 7}, sms, s);
    });
    const auto halves = [&](char* mine, char* other, cudaStream_t s) {
      fan_out_on({mine, mine + kCopied, other + kCopied, tokens, row, 37}, sms, s);
    };
    measure("fan_out", sms, halves, static_cast<double>(tokens * row) * 37 / 14);
  }
}

// ---- NCCL ----

/// Bytes that a rank sends at least, over the collective's size: the bus bandwidth's factor.
double bus_factor(Collective c, double ranks) { return (c == Collective::all_reduce ? 2 : 1) * (ranks - 1) / ranks; }

void time_collectives(Bench& bench, const std::vector<int>& gpus) {
  const NcclGroup nccl(gpus);
  constexpr std::size_t most = std::size_t{1} << 30;
  const RankGroups groups(static_cast<int>(gpus.size()), static_cast<std::int64_t>(2 * most), {gpus});
  std::vector<const void*> from;
  std::vector<void*> to;
  std::vector<cudaStream_t> streams;
  for (std::size_t g = 0; g < gpus.size(); ++g) {
    const RankGroups::Group& group = groups.groups()[g];
    from.push_back(group.peers.window[g]), to.push_back(group.peers.window[g] + most), streams.push_back(group.stream);
  }
  for (const Collective c :
       {Collective::all_to_all, Collective::all_gather, Collective::reduce_scatter, Collective::all_reduce})
    for (std::size_t bytes = 1024; bytes <= most; bytes *= 4) {
      const int repetitions = bytes > (std::size_t{64} << 20) ? 15 : 40;
      Steps steps(groups, repetitions, 1);
      for (int i = 0; i < repetitions; ++i) {
        for (std::size_t g = 0; g < gpus.size(); ++g) steps.record(g, i, 0);
        nccl.run(c, bytes, from, to, streams);
        for (std::size_t g = 0; g < gpus.size(); ++g) steps.record(g, i, 1);
      }
      groups.wait();
      std::vector<double> us;
      for (int i = kWarm; i < repetitions; ++i) us.push_back(steps.us(i, 0, 1));
      Fields key =
          fields({"gpus", "bytes"}, {static_cast<std::int64_t>(gpus.size()), static_cast<std::int64_t>(bytes)});
      key.insert(key.begin(), {"collective", name_of(c)}), key.emplace_back("impl", "NCCL-" + NcclGroup::version());
      Fields values = summary(us);
      values.emplace_back("bus_gbps",
                          rate(static_cast<double>(bytes) * bus_factor(c, static_cast<double>(gpus.size())), values));
      bench.write("nccl", {key, values});
    }
}

// ---- correctness ----

/// Of several processes: right where it is in all of them.
Outcome together(const Domain& domain, Outcome mine) {
  if (domain.processes == nullptr) return mine;
  const std::vector<std::string> all = domain.processes->gather("outcome", mine.complaint);
  for (std::size_t p = 0; p < all.size(); ++p)
    if (!all[p].empty()) mine.fail("process " + std::to_string(p) + ": " + all[p]);
  return mine;
}

void check_exchanges(Layer& layer, const Domain& domain, const std::string& way) {
  const auto check = [&](const char* kernel, Outcome (*one)(Random&, const Domain&)) {
    layer.check(kernel + (", " + way), [&](Random& random) { return together(domain, one(random, domain)); });
  };
  check("dispatch", check_dispatch), check("combine", check_combine), check("low latency", check_low_latency);
}

/// A communicator whose windows can be had; null, with the reason printed: there is none.
std::unique_ptr<NcclGroup> windowed(const std::vector<int>& gpus) {
  try {
    see_each_other(gpus);  // the benches' arrays lie on one of them
    auto nccl = std::make_unique<NcclGroup>(gpus);
    const SymmetricWindows probe(*nccl, 1 << 20);
    return nccl;
  } catch (const KernelError& none) {
    std::printf("no NCCL windows: %s\n", none.what());
    return nullptr;
  }
}

void time_windows(Bench& bench, const std::vector<int>& gpus) {
  const auto nccl = windowed(gpus);
  if (!nccl) return;
  const PeerExchange exchange(8, 4096, {gpus, nccl.get()});
  for (const int sms : {16, 24})
    time_exchange(bench, exchange, {sms, DispatchArgs{}.chunk, CombineArgs{}.chunk, "railcast_nccl_windows"});
}

}  // namespace
}  // namespace railcast::kernels::layer

namespace railcast::kernels {

void nvlink_checks(Bench& bench) {
  using namespace layer;
  const std::vector<int> gpus = all_gpus();
  Layer layer(bench, "nvlink");
  check_exchanges(layer, {gpus}, "peer access");
  const auto nccl = windowed(gpus);
  if (nccl) check_exchanges(layer, {gpus, nccl.get()}, "NCCL windows");
}

/// Between processes, a GPU each where there are as many.
void nvlink_ipc_suite(Bench& bench) {
  using namespace layer;
  const std::vector<int> gpus = all_gpus();
  std::vector<std::string> arguments = {"--suite", "nvlink_ipc", "--seed", std::to_string(bench.options().seed)};
  if (bench.options().cases > 0) arguments.insert(arguments.end(), {"--cases", std::to_string(bench.options().cases)});
  Processes processes(std::max(2, static_cast<int>(gpus.size())), arguments);
  const int gpu = gpus[static_cast<std::size_t>(processes.rank()) % gpus.size()];
  throw_unless(cudaSetDevice(gpu), "choosing a device");
  Layer layer(bench, "nvlink_ipc");
  check_exchanges(layer, {{gpu}, nullptr, &processes}, "CUDA IPC");
}

/// Ranks: one a GPU, and eight (several a GPU, as many experts each as at expert-parallel 8).
void nvlink_suite(Bench& bench) {
  using namespace layer;
  const std::vector<int> gpus = all_gpus();
  const auto count = static_cast<int>(gpus.size());
  if (count < 2) {
    std::printf("nvlink: one GPU here, nothing to measure between\n");
    return;
  }
  time_copies(bench, gpus);
  std::vector<int> rank_counts = {count};
  if (count < 8) rank_counts.push_back(8);
  for (const int ranks : rank_counts) {
    const PeerExchange exchange(ranks, 4096, {gpus});
    for (const int sms : {8, 12, 16, 20, 24, 32})
      time_exchange(bench, exchange, {sms, DispatchArgs{}.chunk, CombineArgs{}.chunk});
    for (const int sms : {8, 12, 16, 20, 24})
      for (const std::int64_t chunk : {128, 256})
        time_exchange(bench, exchange, {sms, chunk, chunk == 128 ? 3584 : 7168});
  }
  time_windows(bench, gpus);
  for (const int ranks : rank_counts)
    for (const std::int64_t tokens : {1, 8, 32, 64, 128}) time_low_latency(bench, ranks, tokens, gpus);
  try {
    time_collectives(bench, gpus);
  } catch (const KernelError& error) {
    std::printf("NCCL not measured: %s\n", error.what());
  }
}

}  // namespace railcast::kernels
