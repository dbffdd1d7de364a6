#include "cli/load_routing.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "cli/load_counts.hpp"
#include "cli/load_scenario.hpp"

namespace railcast {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostRouted = 1 << 16;  // tokens that are sent through the gate one by one, per layer

std::int64_t moe_rows(const Transformer& t) {
  std::int64_t n = t.num_nextn_predict_layers;
  for (std::int64_t l = 0; l < t.num_hidden_layers; ++l) n += t.moe(l);
  return n;
}

void check_sizes(const Routing& r, const Transformer& t, const std::string& file) {
  if (r.counts.experts != t.n_routed_experts)
    throw BadInput(
        file, "",
        "has " + std::to_string(r.counts.experts) + " experts; the model has " + std::to_string(t.n_routed_experts));
  try {
    rows_by_layer(t, r.counts.layers);
  } catch (const std::invalid_argument& e) {
    throw BadInput(file, "", e.what());
  }
}

std::vector<Routing> recorded(const std::string& path, bool ids, const Transformer& t) {
  std::vector<Routing> all;
  if (ids) {
    auto routes = load_routes(path, t.n_routed_experts);
    if (routes.front().top_k != t.num_experts_per_tok)
      throw BadInput(path, "",
                     "has " + std::to_string(routes.front().top_k) + " experts a token; the model has " +
                         std::to_string(t.num_experts_per_tok));
    all.push_back(routing_of(std::move(routes), t.n_routed_experts, path));
  } else {
    for (ExpertCounts& c : load_counts(path)) all.push_back({std::move(c), {}, path});
  }
  check_sizes(all.front(), t, path);
  return all;
}

double positive(JsonObject& o, const char* key, double otherwise, double most) {
  if (!o.has(key)) return otherwise;
  const double x = o.number(key);
  if (!(x > 0 && x <= most)) o.refuse(key, "expected a number above 0, at most " + std::to_string(std::llround(most)));
  return x;
}

LoadGenerator read_generator(JsonObject& o) {
  LoadGenerator g;
  std::vector<std::string> names;
  for (int k = 0; k <= static_cast<int>(LoadKind::domains); ++k) names.emplace_back(name(static_cast<LoadKind>(k)));
  const std::string kind = o.one_of("generator", names);
  g.kind = static_cast<LoadKind>(std::ranges::find(names, kind) - names.begin());
  if (g.kind == LoadKind::zipf) g.exponent = positive(o, "exponent", g.exponent, 10);
  if (g.kind == LoadKind::dirichlet || g.kind == LoadKind::domains)
    g.concentration = positive(o, "concentration", g.concentration, 1e6);
  if (g.kind == LoadKind::drifting) {
    g.spread = positive(o, "spread", g.spread, 5);
    g.memory = positive(o, "memory", g.memory, 1);
  }
  if (g.kind == LoadKind::domains && o.has("domains")) g.domains = o.integer("domains", 1, 1024);
  if (o.has("seed")) g.seed = static_cast<std::uint64_t>(o.integer("seed"));
  return g;
}

std::vector<Routing> generated(JsonObject& o, const Transformer& t, std::int64_t tokens) {
  const LoadGenerator g = read_generator(o);
  const std::int64_t windows = o.has("windows") ? o.integer("windows", 1, 1000) : 1;
  const bool gate = o.has("gate") && o.boolean("gate");
  const std::string source = std::string(name(g.kind)) + ", seed " + std::to_string(g.seed);
  std::vector<Routing> all;
  try {
    for (std::int64_t w = 0; w < windows; ++w) {
      const auto counts = gate ? routed_counts(g, router_of(t), moe_rows(t), std::min(tokens, kMostRouted), w)
                               : sampled_counts(g, router_of(t), moe_rows(t), tokens, w);
      all.push_back({counts, {}, source});
    }
  } catch (const std::invalid_argument& e) {
    o.refuse("generator", e.what());
  }
  return all;
}

std::string found(JsonObject& o, const char* key) {
  const std::string given = o.text(key);
  for (const fs::path& folder : {fs::path(o.file()).parent_path(), fs::path(scenarios_folder()), fs::path()})
    if (fs::exists(folder / given)) return (folder / given).string();
  o.refuse(key, "no file \"" + given + "\" beside " + o.file() + ", in " + scenarios_folder() +
                    " or in the working directory");
}

}  // namespace

std::vector<Routing> read_routing(JsonObject o, const Transformer& t, std::int64_t tokens) {
  if (t.n_routed_experts == 0) o.refuse("", "the model has no experts");
  const int ways = o.has("file") + o.has("token_ids") + o.has("generator");
  if (ways != 1) o.refuse("", "expected one of \"file\", \"token_ids\" and \"generator\"");
  std::vector<Routing> all;
  if (o.has("generator")) {
    all = generated(o, t, tokens);
  } else {
    const bool ids = o.has("token_ids");
    all = recorded(found(o, ids ? "token_ids" : "file"), ids, t);
  }
  o.finish();
  return all;
}

std::vector<Routing> load_routing(const std::string& path, bool ids, const Transformer& t, std::int64_t tokens) {
  if (path.ends_with(".json") && !ids) {
    const auto document = read_json(path, kMaxCountsBytes);
    if (document.is_object() && !document.contains("counts") && !document.contains("weight"))
      return read_routing(JsonObject(document, path), t, tokens);
  }
  return recorded(path, ids, t);
}

Placement place(const std::string& policy, const Routing& r, const PlacementSpec& p) {
  if (policy == "contiguous") return contiguous(r.counts.layers, r.counts.experts, p.gpus);
  const Placement heaviest_first = eplb(r.counts, p);
  return policy == "improved" ? improve(r.counts, p, heaviest_first) : heaviest_first;
}

PlacementSpec placement_spec(const Scenario& s, std::int64_t redundant) {
  const std::int64_t per_node = std::max<std::int64_t>(1, s.machine.gpus_per_node / s.plan.etp);
  return {s.model.n_routed_experts + redundant, s.model.n_group, std::max<std::int64_t>(1, s.plan.ep / per_node),
          s.plan.ep};
}

void read_train_routing(JsonObject& train, Scenario& s) {
  if (!train.has("routing")) return;
  JsonObject o = train.object("routing");
  const std::string policy =
      o.has("placement") ? o.one_of("placement", {"contiguous", "eplb", "improved"}) : "contiguous";
  const std::int64_t tokens = s.plan.micro_batch * s.train.sequence * s.plan.ep;
  const Routing r = read_routing(std::move(o), s.model, tokens).front();
  try {
    const auto traffic = layer_traffic(load_model(s), r, place(policy, r, placement_spec(s, 0)));
    s.train.expert_loads = layer_loads(s.model, traffic);
    s.train.routing = r.source + ", " + policy + " placement";
  } catch (const std::invalid_argument& e) {
    train.refuse("routing", e.what());
  }
}

}  // namespace railcast
