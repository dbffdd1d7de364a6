// An all-to-all over one fabric by railcast and by SimGrid: simulated time, wall time and memory of each.
//   railcast_beside_simgrid [GPUS ...]     (default 64 256; SimGrid takes minutes at 256)
// Both are given the same links, paths and messages; each run is a process of its own, so that memory is its own.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <simgrid/s4u.hpp>
#include <string>
#include <vector>

#include "model/flows.hpp"
#include "reports/format.hpp"

namespace {

using namespace railcast;
namespace s4u = simgrid::s4u;

constexpr double kBytes = 65536;

/// Nodes of 8 H100, 50 GB/s NICs on rails, leaves of 4 nodes, 2:1 oversubscribed: links of all kinds matter.
FabricSpec fabric_of(std::int64_t gpus) {
  FabricSpec f;
  f.nodes = gpus / 8;
  f.nvlink = ByteRate(450e9), f.nic = ByteRate(50e9);
  f.nvlink_latency = Time::seconds(3.33e-6), f.nic_latency = Time::seconds(3.7e-6);
  f.topology.nodes_per_leaf = 4, f.topology.oversubscription = 2;
  return f;
}

double by_railcast(std::int64_t gpus) {
  return deliver(Fabric(fabric_of(gpus)), all_to_all(gpus, kBytes)).makespan.seconds();
}

/// A platform whose links and routes are the fabric's; latency is on a link of its own that nobody contends for.
class Platform {
 public:
  explicit Platform(const Fabric& f) : fabric_(f), zone_(s4u::create_full_zone("gpus")) {
    for (std::int64_t g = 0; g < f.gpus(); ++g)
      hosts.push_back(zone_->create_host("gpu" + std::to_string(g), 1e9)->seal());
    for (LinkId l = 0; l < f.links(); ++l)
      links_.push_back(zone_->create_link("link" + std::to_string(l), f.capacity(l).per_second())->seal());
    for (std::int64_t a = 0; a < f.gpus(); ++a)
      for (std::int64_t b = 0; b < f.gpus(); ++b)
        if (a != b) join(a, b);
    zone_->seal();
  }
  std::vector<s4u::Host*> hosts;

 private:
  void join(std::int64_t a, std::int64_t b) {
    fabric_.path(a, b, path_);
    std::vector<s4u::LinkInRoute> route;
    for (LinkId l : path_) route.emplace_back(links_[l]);
    route.emplace_back(wait(fabric_.latency(a, b)));
    const auto point = [&](std::int64_t g) { return hosts[static_cast<std::size_t>(g)]->get_netpoint(); };
    zone_->add_route(point(a), point(b), nullptr, nullptr, route, false);
  }
  s4u::Link* wait(Time t) {
    auto& link = waits_[t.ps()];
    if (link != nullptr) return link;
    link = zone_->create_link("wait" + std::to_string(t.ps()), 1e15)->set_latency(t.seconds());
    link->set_sharing_policy(s4u::Link::SharingPolicy::FATPIPE)->seal();
    return link;
  }
  const Fabric& fabric_;
  s4u::NetZone* zone_;
  std::vector<s4u::Link*> links_;
  std::map<std::int64_t, s4u::Link*> waits_;
  std::vector<LinkId> path_;
};

// Max-min over the links, without the factors of a TCP stack.
double by_simgrid(std::int64_t gpus) {
  std::vector<std::string> words{"bench"};
  for (const char* option :
       {"model:CM02", "bandwidth-factor:1", "latency-factor:1", "weight-S:0", "crosstraffic:0", "TCP-gamma:0"})
    words.push_back("--cfg=network/" + std::string(option));
  words.emplace_back("--log=root.thres:critical");
  std::vector<char*> argv;
  for (std::string& w : words) argv.push_back(w.data());
  int argc = static_cast<int>(argv.size());
  s4u::Engine engine(&argc, argv.data());
  const Fabric fabric(fabric_of(gpus));
  const Platform platform(fabric);
  s4u::Actor::create("all_to_all", platform.hosts[0], [&platform] {
    std::vector<s4u::CommPtr> comms;
    for (auto* a : platform.hosts)
      for (auto* b : platform.hosts)
        if (a != b) comms.push_back(s4u::Comm::sendto_async(a, b, static_cast<std::uint64_t>(kBytes)));
    s4u::Comm::wait_all(comms);
  });
  engine.run();
  return s4u::Engine::get_clock();
}

struct Run {
  double simulated = 0, wall = 0, cpu = 0, bytes = 0;
};

// A child runs it, so that its peak memory is its own.
Run measured(double (*simulate)(std::int64_t), std::int64_t gpus) {
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) std::abort();
  const auto begin = std::chrono::steady_clock::now();
  const pid_t child = fork();
  if (child == 0) {
    const double s = simulate(gpus);
    std::_Exit(write(pipe_ends[1], &s, sizeof s) == sizeof s ? 0 : 1);
  }
  Run r;
  rusage usage{};
  int status = 0;
  close(pipe_ends[1]);
  const bool read_all = read(pipe_ends[0], &r.simulated, sizeof r.simulated) == sizeof r.simulated;
  close(pipe_ends[0]);
  wait4(child, &status, 0, &usage);
  if (!read_all || status != 0) std::cerr << "a run of " << gpus << " GPUs failed\n", std::exit(1);
  r.wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  r.cpu = static_cast<double>(usage.ru_utime.tv_sec) + static_cast<double>(usage.ru_utime.tv_usec) * 1e-6;
  r.bytes = static_cast<double>(usage.ru_maxrss) * 1024;
  return r;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::int64_t> sizes;
  for (int i = 1; i < argc; ++i) sizes.push_back(std::atoll(argv[i]));
  if (sizes.empty()) sizes = {64, 256};
  const char* const row = "%6s  %-8s  %10s  %10s  %10s  %10s\n";  // as they come: the last takes minutes
  std::printf(row, "GPUs", "by", "simulated", "wall", "CPU", "memory");
  for (std::int64_t n : sizes) {
    if (n < 16 || n % 8 != 0) return std::cerr << "GPUS: expected multiples of 8 from 16 on\n", 2;
    for (const bool ours : {true, false}) {
      std::fflush(stdout);
      const Run r = measured(ours ? by_railcast : by_simgrid, n);
      std::printf(row, std::to_string(n).c_str(), ours ? "railcast" : "SimGrid", duration_text(r.simulated).c_str(),
                  duration_text(r.wall).c_str(), duration_text(r.cpu).c_str(), bytes_text(r.bytes).c_str());
    }
  }
  return 0;
}
