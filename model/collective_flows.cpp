#include "model/collective_flows.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace railcast {
namespace {

Message message(std::int64_t from, std::int64_t to, double bytes) {
  return {static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(to), bytes};
}

/// Equal parts of whole nodes.
struct Nodes {
  std::int64_t count = 1, in_each = 0, first = 0, stride = 0;
  std::int64_t gpu(std::int64_t node, std::int64_t place) const { return first + node * stride + place; }
};

Nodes nodes_of(const GpuRun& g) {
  const std::int64_t first = g.first / g.per_node, last = (g.first + g.count - 1) / g.per_node;
  if (first == last) return {1, g.count, g.first, g.per_node};
  if (g.first % g.per_node != 0 || g.count % g.per_node != 0)
    throw std::invalid_argument("a collective over GPUs " + std::to_string(g.first) + " to " +
                                std::to_string(g.first + g.count - 1) + " fills its nodes of " +
                                std::to_string(g.per_node) + " unequally; expected whole nodes, or part of one");
  return {last - first + 1, g.per_node, g.first, g.per_node};
}

void add_within(const Nodes& n, double bytes, std::int64_t passes, std::vector<Message>& all) {
  const double each = double(passes) * bytes * double(n.in_each - 1) / double(n.in_each);
  for (std::int64_t node = 0; node < n.count && n.in_each > 1; ++node)
    for (std::int64_t p = 0; p < n.in_each; ++p)
      all.push_back(message(n.gpu(node, p), n.gpu(node, (p + 1) % n.in_each), each));
}

// Both ways along the edges of one tree: the reduced half up, the result down.
void add_tree(const Nodes& n, const std::vector<std::int64_t>& parents, double bytes, bool mirrored,
              std::vector<Message>& all) {
  const auto node = [&](std::int64_t i) { return mirrored ? n.count - 1 - i : i; };
  for (std::int64_t i = 0; i < n.count; ++i) {
    const std::int64_t parent = parents[static_cast<std::size_t>(i)];
    for (std::int64_t p = 0; p < n.in_each && parent >= 0; ++p) {
      all.push_back(message(n.gpu(node(i), p), n.gpu(node(parent), p), bytes));
      all.push_back(message(n.gpu(node(parent), p), n.gpu(node(i), p), bytes));
    }
  }
}

}  // namespace

std::vector<std::int64_t> tree_parents(std::int64_t n) {
  std::vector<std::int64_t> parents;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t low = i & -i;  // height: a node stands between its two subtrees
    std::int64_t up = i == 0 ? -1 : (i ^ low) | (low << 1);
    if (up >= n) up = i ^ low;
    parents.push_back(up);
  }
  return parents;
}

std::vector<Message> ring_flows(const GpuRun& g, double bytes, std::int64_t passes) {
  const Nodes n = nodes_of(g);
  std::vector<Message> all;
  add_within(n, bytes, passes, all);
  const double between = double(passes) * bytes / double(n.in_each) * double(n.count - 1) / double(n.count);
  for (std::int64_t node = 0; node < n.count && n.count > 1; ++node)
    for (std::int64_t p = 0; p < n.in_each; ++p)
      all.push_back(message(n.gpu(node, p), n.gpu((node + 1) % n.count, p), between));
  return merged(std::move(all));
}

std::vector<Message> tree_flows(const GpuRun& g, double bytes) {
  const Nodes n = nodes_of(g);
  std::vector<Message> all;
  add_within(n, bytes, 2, all);
  const auto parents = tree_parents(n.count);
  for (bool mirrored : {false, true}) add_tree(n, parents, bytes / double(n.in_each) / 2, mirrored, all);
  return merged(std::move(all));
}

std::vector<Message> all_to_all_v(const GpuRun& g, const std::vector<std::vector<double>>& bytes) {
  const auto n = static_cast<std::size_t>(g.count);
  if (bytes.size() != n) throw std::invalid_argument("expected " + std::to_string(n) + " rows, a row per sender");
  std::vector<Message> all;
  for (std::size_t i = 0; i < n; ++i) {
    if (bytes[i].size() != n)
      throw std::invalid_argument("row " + std::to_string(i) + " has " + std::to_string(bytes[i].size()) +
                                  " sizes; expected " + std::to_string(n) + ", one per receiver");
    for (std::size_t j = 0; j < n; ++j)
      if (i != j) all.push_back(message(g.first + std::int64_t(i), g.first + std::int64_t(j), bytes[i][j]));
  }
  return all;
}

std::vector<Message> merged(std::vector<Message> messages) {
  const auto pair = [](const Message& m) { return std::pair(m.from, m.to); };
  std::ranges::stable_sort(messages, {}, pair);
  std::vector<Message> out;
  for (const Message& m : messages) {
    if (!out.empty() && pair(out.back()) == pair(m)) {
      out.back().bytes += m.bytes;
    } else {
      out.push_back(m);
    }
  }
  return out;
}

}  // namespace railcast
