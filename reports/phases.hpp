// How a rank spends its step.
//
// The span of an instruction on a rank reaches from the first start to the last end of its ops other than sends.
// Where two successive spans overlap (one lane is done before the other), the overlap counts for the first.
#pragma once
#include "model/train.hpp"

namespace railcast {

/// Mean over the cluster's ranks; they sum to the step. In seconds.
struct Phases {
  double forward_s = 0;     ///< spans of forward alone
  double backward_s = 0;    ///< of backward alone, W inside unless the schedule splits it
  double weight_s = 0;      ///< of W alone
  double overlapped_s = 0;  ///< of F&B pairs
  double bubble_s = 0;      ///< the rest: waiting for other stages, whatever the reason
  /// After the rank's last instruction: AdamW and ZeRO traffic. Under ZeRO 3, whose instructions wait for their weights
  /// and so for the reductions queued before them, also its traffic between spans; under ZeRO 1 and 2 such traffic
  /// delays nothing.
  double optimizer_s = 0;
};

struct StepTimes {
  Phases phases;
  /// Within spans and the optimizer's phase: time in which no compute op of the rank runs. Mean over ranks.
  double exposed_comm_s = 0;
  /// Span of a F&B pair over its layers (mean of the two stages'), mean over all pairs whose stages hold MoE layers
  /// only, no embedding and no head. 0 where there is none.
  double layer_pair_s = 0;
};

/// `moe(layer)` of the transformer tells dense layers apart.
StepTimes step_times(const TrainStep& s, const Trace& t, const Transformer& model, const Plan& plan);

}  // namespace railcast
